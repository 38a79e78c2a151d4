"""The object mixer against copy-paste image by image, as libraries for detection and segmentation do it.

python benchmarks/object_mixer.py [--sizes 192x256 480x640] [--batch-size 16] [--rounds 15] [--threads 1] [--device cpu]
    [--out docs/results/object-mixer.json]

All get the same rendered images (8-bit values), and but for the last two they paste 1 to 4 objects of at least 0.5 % of
the image at their own place, with hard edges where nothing else is said. What each library keeps of its inputs is made
before the clock starts, and batches are not assembled afterwards. With one CPU thread the clock is processor time,
which other programs do not disturb.

masks   the way of torchvision's detection references: float tensors and one mask an object; the pasted masks are cut
        out of the others, boxes are measured anew, objects without a pixel left are dropped
masks, soft  the same with the edge blurred by a Gaussian of 5x5 pixels, as those references do unless told otherwise
arrays  the way of ultralytics: 8-bit arrays H x W x 3, objects filled into a canvas (from masks within their box, where
        ultralytics fills polygons), then one assignment; no map of objects comes out
ids     the shortest loop over images that we know to write: the same id maps in and out as the mixer, in torch
copies  no mixing at all: a copy of the images and one of the id maps, which whoever returns new ones cannot do without
ultralytics  the package's own CopyPaste on polygons and its Format, which makes the tensors and the map of objects that
        a network is fed with; it pastes all objects that cover little of others. Only where ultralytics is
        installed (AGPL-3.0, not a dependency of kdcli)
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur  # type: ignore[import-untyped]

from kdcli.devices import choose
from kdcli.mixers.object import ObjectMixer
from kdcli.sources import load_source
from kdcli.spec import parse_size
from kdcli.training.step.mixing import mix_step
from kdcli.types import Batch

OBJECTS, MIN_AREA, MAX_AREA = 4, 0.005, 0.5
Job = Callable[[int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """One image as each way wants it."""

    image: Tensor
    ids: Tensor
    array: np.ndarray[Any, Any]
    masks: Tensor
    boxes: Tensor
    labels: Tensor
    eligible: list[int]
    """Positions among the masks."""


Paste = Callable[[Inputs, Inputs, random.Random], object]


def inputs(image: Tensor, ids: Tensor) -> Inputs:
    numbers = [int(n) for n in ids.unique() if n > 0]
    masks = torch.stack([ids == n for n in numbers]) if numbers else torch.zeros(0, *ids.shape, dtype=torch.bool)
    share = masks.flatten(1).float().mean(1)
    return Inputs(
        image=image, ids=ids, array=(image * 255).round().byte().permute(1, 2, 0).contiguous().numpy(),
        masks=masks.to(torch.uint8), boxes=boxes_of(masks), labels=torch.ones(len(masks), dtype=torch.int64),
        eligible=[i for i, part in enumerate(share.tolist()) if MIN_AREA <= part <= MAX_AREA],
    )


def chosen(donor: Inputs, draw: random.Random) -> list[int]:
    return draw.sample(donor.eligible, min(draw.randint(1, OBJECTS), len(donor.eligible)))


def boxes_of(masks: Tensor) -> Tensor:
    """Return x0, y0, x1, y1 of each mask, one after the other."""
    boxes = torch.zeros(len(masks), 4)
    for i, mask in enumerate(masks):
        y, x = mask.nonzero(as_tuple=True)
        if len(y):
            boxes[i] = torch.stack([x.min(), y.min(), x.max(), y.max()]).float()
    return boxes


def paste_masks(receiver: Inputs, donor: Inputs, draw: random.Random, *, soft: bool = False) -> object:
    picked = chosen(donor, draw)
    if not picked:
        return receiver.image, receiver.masks, receiver.boxes, receiver.labels
    pasted = donor.masks[picked]
    alpha = pasted.sum(0) > 0
    opacity = gaussian_blur(alpha[None].float(), [5, 5], [2.0]) if soft else alpha
    image = receiver.image * (1 - opacity if soft else ~alpha) + donor.image * opacity
    masks = receiver.masks * ~alpha
    left = masks.sum((-1, -2)) > 0
    masks = torch.cat([masks[left], pasted])
    boxes = torch.cat([boxes_of(masks[: int(left.sum())]), donor.boxes[picked]])
    return image, masks, boxes, torch.cat([receiver.labels[left], donor.labels[picked]])


def paste_arrays(receiver: Inputs, donor: Inputs, draw: random.Random) -> object:
    image = receiver.array.copy()
    canvas = np.zeros(image.shape, np.uint8)
    for j in chosen(donor, draw):
        x0, y0, x1, y1 = (int(value) for value in donor.boxes[j])
        part = donor.masks[j, y0 : y1 + 1, x0 : x1 + 1].numpy().astype(bool)
        canvas[y0 : y1 + 1, x0 : x1 + 1][part] = 1
    inside = canvas.astype(bool)
    image[inside] = donor.array[inside]
    return image


def paste_ids(receiver: Inputs, donor: Inputs, draw: random.Random) -> object:
    share = torch.bincount(donor.ids.flatten()) / donor.ids.numel()
    eligible = ((share >= MIN_AREA) & (share <= MAX_AREA)).nonzero()[:, 0].tolist()
    eligible = [number for number in eligible if number > 0]
    mask = torch.zeros_like(donor.ids, dtype=torch.bool)
    for number in draw.sample(eligible, min(draw.randint(1, OBJECTS), len(eligible))):
        mask |= donor.ids == number
    image = torch.where(mask, donor.image, receiver.image)
    return image, torch.where(mask, donor.ids + receiver.ids.max(), receiver.ids)


def copies(receiver: Inputs, donor: Inputs, draw: random.Random) -> object:
    return receiver.image.clone(), receiver.ids.clone()


def looped(paste: Paste, images: list[Inputs], seed: int) -> object:
    draw = random.Random(seed)
    order = draw.sample(range(len(images)), len(images))
    return [paste(images[i], images[j], draw) for i, j in zip(order, order[1:] + order[:1], strict=True)]


def ultralytics_job(images: list[Inputs]) -> Job | None:
    """Return the package's copy-paste within the batch, up to tensors; None where it is not installed."""
    try:
        import cv2  # type: ignore[import-not-found]
        from ultralytics.data.augment import CopyPaste, Format  # type: ignore[import-not-found]
        from ultralytics.utils.instance import Instances  # type: ignore[import-not-found]
        from ultralytics.utils.ops import resample_segments  # type: ignore[import-not-found]
    except ImportError:
        return None
    cv2.setNumThreads(torch.get_num_threads())

    def labelled(image: Inputs) -> dict[str, Any]:
        found = [cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0] for mask in image.masks.numpy()]
        outlines = [max(parts, key=len).reshape(-1, 2).astype(np.float32) for parts in found]
        instances = Instances(
            image.boxes.numpy(), np.stack(resample_segments(outlines, n=1000)), bbox_format="xyxy", normalized=False
        )
        return {"img": image.array, "cls": np.zeros((len(outlines), 1), np.float32), "instances": instances}

    class Others:
        """The batch as the data set that partners are drawn from."""

        def __init__(self) -> None:
            self.batch = [labelled(image) for image in images]

        def __len__(self) -> int:
            return len(self.batch)

        def get_image_and_label(self, index: int) -> dict[str, Any]:
            return dict(self.batch[index])

    others = Others()
    paste = CopyPaste(others, p=1.0, mode="mixup")
    tensors = Format(bbox_format="xywh", normalize=True, return_mask=True, mask_ratio=1, mask_overlap=True)

    def job(seed: int) -> object:
        random.seed(seed)
        return [tensors(paste(others.get_image_and_label(i))) for i in range(len(others))]

    return job


def rendered(count: int, size: tuple[int, int]) -> Batch:
    batch: Batch = load_source("sim:blocks").batch(list(range(count)), size, torch.device("cpu"))  # type: ignore[attr-defined]
    return Batch(ids=batch.ids, image=(batch.image * 255).round().contiguous() / 255, instances=batch.instances)


def measure(size: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row a way; the mixer and the others take turns, so that both see the machine in the same state."""
    device = choose(given.device)
    batch = rendered(given.batch_size, parse_size(size))
    assert batch.instances is not None
    images = [inputs(image, ids) for image, ids in zip(batch.image, batch.instances, strict=True)]
    there, mixer = batch.to(device), ObjectMixer(objects=OBJECTS, min_area=MIN_AREA, max_area=MAX_AREA)
    ways: dict[str, Paste] = {
        "masks": paste_masks, "masks, soft": partial(paste_masks, soft=True), "arrays": paste_arrays, "ids": paste_ids,
        "copies": copies,
    }
    package = ultralytics_job(images)

    def ours(seed: int) -> object:
        mixed = mixer.mix(there, mix_step(there, seed=seed, stage="benchmark", step=0, total=1))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return mixed

    jobs: dict[str, Job] = {"ours": ours}
    jobs |= {name: partial(looped, way, images) for name, way in ways.items()}
    jobs |= {} if package is None else {"ultralytics": package}
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for i in range(given.rounds + 2):
        for name, job in jobs.items():
            begin = clock()
            job(i)
            times[name].append(1000 * (clock() - begin) / len(images))
    times = {name: values[2:] for name, values in times.items()}  # the first ones warm up
    return [
        {
            "what": name, "size": size, "batch_size": given.batch_size,
            "ours_ms": statistics.median(times["ours"]), "other_ms": statistics.median(times[name]),
            "ratio": statistics.median(a / b for a, b in zip(times[name], times["ours"], strict=True)),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(), "torch": torch.__version__, "rounds": given.rounds,
        }
        for name in jobs if name != "ours"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["192x256", "480x640"])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = [row for size in given.sizes for row in measure(size, given)]
    for row in rows:
        print(
            f"{row['what']:12s} {row['size']}, batch {row['batch_size']}: {row['other_ms']:6.2f} ms/image, mixer on "
            f"{row['device']} {row['ours_ms']:6.2f} ms/image, ratio {row['ratio']:.1f}"
        )
    if given.out is not None:
        given.out.write_text(json.dumps({"ratios": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
