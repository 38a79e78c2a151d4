"""The evaluation beside the numpy loop that published depth code has in its test scripts, on the same arrays.

python benchmarks/evaluation.py [--rounds 15] [--out docs/results/evaluation.json]

metrics  the nine metrics of a prediction that has the ground truth's size
median   the factor that brings the prediction's median to the ground truth's
whole    from what a network returns, at half the size, to the table: resize, range, crop, clip, metrics; theirs with
         and without median alignment. Neither decodes anything, and the network is a stored map

One thread, processor time, both in turn within a round. ``ratio`` is the median over rounds of ours over theirs.
``apart`` is the largest difference of a metric from the loop's with its means in float64, relative for what is above 1.
Memory is what the process needed at most, with 200 and with 20,000 images, in processes of their own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kdcli.evals import Protocol, evaluate
from kdcli.evals.alignment import align
from kdcli.evals.crops import Box
from kdcli.evals.listed import positions
from kdcli.evals.metrics import per_image
from kdcli.types import DepthKind, Prediction, Sample

Map = NDArray[np.float32]
CASES = {"dense": (480, 640, 1.0, 10.0), "5 %": (375, 1242, 0.05, 80.0), "20 %": (375, 1242, 0.2, 80.0)}
"""Height, width, share of pixels with depth, farthest depth."""
EIGEN = Box(rows=(45, 471), columns=(41, 601), of=(480, 640))
GARG = Box(rows=(0.40810811, 0.99189189), columns=(0.03594771, 0.96405229))
IMAGES = 64
"""Of a whole evaluation."""


def errors(gt: Map, pred: Map, wide: type = np.float32) -> list[float]:
    """The loop's body, as everybody has it."""
    ratio = np.maximum(gt / pred, pred / gt)
    deltas = [(ratio < 1.25**power).mean() for power in (1, 2, 3)]
    abs_rel = np.mean(np.abs(gt - pred) / gt, dtype=wide)
    sq_rel = np.mean(((gt - pred) ** 2) / gt, dtype=wide)
    rmse = np.sqrt(((gt - pred) ** 2).mean(dtype=wide))
    rmse_log = np.sqrt(((np.log(gt) - np.log(pred)) ** 2).mean(dtype=wide))
    err = np.log(pred) - np.log(gt)
    silog = np.sqrt(np.mean(err**2, dtype=wide) - np.mean(err, dtype=wide) ** 2) * 100
    log10 = (np.abs(np.log10(gt) - np.log10(pred))).mean(dtype=wide)
    return [float(value) for value in (abs_rel, sq_rel, rmse, rmse_log, log10, silog, *deltas)]


def by_loop(samples: list[Sample], small: Tensor, far: float, box: Box, median: bool) -> NDArray[np.float64]:
    """A test script: resize, clip, mask, metrics, image by image."""
    found = []
    for i in range(IMAGES):
        gt = samples[i % len(samples)].depth[0].numpy()
        pred = interpolate(small, gt.shape, mode="bilinear", align_corners=False)[0, 0].numpy()
        valid = np.logical_and(gt > 1e-3, gt < far)
        top, bottom, left, right = box.bounds(*gt.shape)
        inside = np.zeros(valid.shape)
        inside[top:bottom, left:right] = 1
        valid = np.logical_and(valid, inside)
        if median:
            pred = pred * (np.median(gt[valid]) / np.median(pred[valid]))
        pred[pred < 1e-3] = 1e-3
        pred[pred > far] = far
        pred[np.isinf(pred)] = far
        pred[np.isnan(pred)] = 1e-3
        found.append(errors(gt[valid], pred[valid]))
    return np.array(found).mean(0)


class Stored(nn.Module):
    """A network that returns one map."""

    depth_kind = DepthKind.METRIC

    def __init__(self, depth: Tensor) -> None:
        super().__init__()
        self.depth = depth

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.depth.expand(len(image), -1, -1, -1), kind=self.depth_kind)


class Kept:
    """A source of images that are there already."""

    name, depth_kind = "kept", DepthKind.METRIC

    def __init__(self, samples: list[Sample], count: int) -> None:
        self.samples, self.count = samples, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index % len(self.samples)]


def made(height: int, width: int, share: float, far: float, seed: int) -> Sample:
    """An image with depth between half a metre and nearly the farthest at a share of its pixels."""
    draw = np.random.default_rng(seed)
    valid = draw.random((1, height, width)) < share
    depth = np.where(valid, draw.uniform(0.5, 0.99 * far, valid.shape), 0).astype(np.float32)
    image = torch.zeros(3, height, width)
    return Sample(id=str(seed), image=image, depth=torch.from_numpy(depth), valid=torch.from_numpy(valid))


def work(case: str) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any], float]]:
    """Yield what is compared: its name, theirs, ours, and how far apart their numbers are."""
    height, width, share, far = CASES[case]
    samples = [made(height, width, share, far, seed) for seed in range(4)]
    draw = np.random.default_rng(9)
    gt, valid = (one[0].numpy() for one in (samples[0].depth, samples[0].valid))
    pred = np.where(valid, gt, 1) * np.exp(draw.normal(0, 0.2, gt.shape)).astype(np.float32)
    maps = [torch.from_numpy(one)[None, None] for one in (pred, gt, valid)]
    ours = per_image(*maps)[0][0].numpy()
    want = np.array(errors(gt[valid], pred[valid], np.float64))
    apart = float((np.abs(ours - want) / np.maximum(1, np.abs(want))).max())
    yield "metrics", lambda: errors(gt[valid], pred[valid]), lambda: per_image(*maps), apart

    def theirs() -> Map:
        return pred * (np.median(gt[valid]) / np.median(pred[valid]))

    def median() -> Map:
        mask = valid.reshape(-1)
        at = slice(None) if mask.all() else positions(mask)
        said, true = (torch.from_numpy(one.reshape(-1)[at]) for one in (pred, gt))
        return align(said, DepthKind.METRIC, true, None, "median").numpy()

    yield "median", theirs, median, float(np.abs(median() / theirs()[valid] - 1).max())
    box = EIGEN if case == "dense" else GARG
    rules = Protocol(name="whole", crop=box, max_depth=far, resize="bilinear", flip=False)
    small = torch.from_numpy(draw.uniform(0.5, far, (1, 1, height // 2, width // 2)).astype(np.float32))
    for aligned in ("none", "median"):

        def loop(aligned: str = aligned) -> NDArray[np.float64]:
            return by_loop(samples, small, far, box, aligned == "median")

        def whole(aligned: str = aligned) -> NDArray[np.float64]:
            found = evaluate({"stored": Stored(small)}, Kept(samples, IMAGES), rules, align=aligned, batch_size=1)
            return np.array(list(found["stored"].metrics.values()))

        name = "whole" if aligned == "none" else "whole, aligned"
        yield name, loop, whole, float((np.abs(loop() - whole()) / np.maximum(1, loop())).max())


def compare(case: str, rounds: int) -> list[dict[str, object]]:
    """Return a row for each piece of work."""
    rows = []
    for what, theirs, ours, apart in work(case):
        spent: dict[str, list[float]] = {"theirs": [], "ours": []}
        often = 1 if what.startswith("whole") else 10
        for _ in range(rounds + 1):
            for name, way in (("theirs", theirs), ("ours", ours)):
                begin = time.process_time()
                for _ in range(often):
                    way()
                spent[name].append((time.process_time() - begin) / often)
        pairs = list(zip(spent["ours"][1:], spent["theirs"][1:], strict=True))
        per = 1000 / (IMAGES if what.startswith("whole") else 1)
        height, width, *_ = CASES[case]
        rows.append({
            "what": what, "size": f"{height}x{width}", "valid": case, "apart": apart,
            "theirs_ms": per * statistics.median(two for _, two in pairs),
            "ours_ms": per * statistics.median(one for one, _ in pairs),
            "ratio": statistics.median(one / two for one, two in pairs),
            "rounds": rounds, "torch": torch.__version__, "numpy": np.__version__,
        })  # fmt: skip
    return rows


def most_memory(images: int) -> float:
    """Return what a process that evaluates so many images needs at most, in MiB."""
    script = f"import evaluation; evaluation.needed({images})"
    run = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, check=True)
    return float(run.stdout)


def needed(images: int) -> None:
    """Evaluate and print what the process has needed."""
    torch.set_num_threads(1)
    sample = made(48, 64, 1.0, 10.0, 0)
    evaluate({"stored": Stored(sample.depth[None])}, Kept([sample], images), "plain")
    lines = Path("/proc/self/status").read_text().splitlines()
    print(int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for case in given.cases for row in compare(case, given.rounds)]
    for row in rows:
        print(f"{row['what']:15}{row['size']:>9} {row['valid']:6} theirs {row['theirs_ms']:7.3f} ms, ours "
              f"{row['ours_ms']:7.3f} ms, ratio {row['ratio']:.2f}, apart {row['apart']:.1e}")  # fmt: skip
    memory = {str(images): most_memory(images) for images in (200, 20_000)} if given.memory else {}
    print(" ".join(f"{images} images: at most {most:.0f} MiB;" for images, most in memory.items()))
    if given.out is not None:
        given.out.write_text(json.dumps({"evaluation": rows, "memory_mib": memory}, indent=1) + "\n")


if __name__ == "__main__":
    main()
