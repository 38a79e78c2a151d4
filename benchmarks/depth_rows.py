"""How deep the pictures of sources are, from the middle downwards, where all of them have known depth.

python benchmarks/depth_rows.py sim:streets,count=200 kitti:DIR [--size 96x320] [--below SHARE]

Means of twelfths of the height, the seventh to the last, then median, 5 % and 95 % of the pixels, in metres.
``--below`` is the share of the height above which nothing counts: sources without depth there are compared with others
that have it. A size is what rendered sources are rendered at; images of files stay as they are.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from kdcli.sources import load_source
from kdcli.sources.parts import renders
from kdcli.spec import parse_size
from kdcli.training.batches.order import ENDLESS

PARTS = range(6, 12)
BATCH = 4


def maps(spec: str, size: tuple[int, int]) -> list[Tensor]:
    """Return the depth of every image that has some, H x W, not-a-number where it is not known."""
    source = load_source(spec)
    if len(source) >= ENDLESS:
        raise SystemExit(f"'{spec}' is endless; write count=N")
    found = []
    for first in range(0, len(source), BATCH):
        indices = list(range(first, min(first + BATCH, len(source))))
        if renders(source):
            batch = source.batch(indices, size, torch.device("cpu"))  # type: ignore[attr-defined]
            pairs = list(zip(batch.depth, batch.valid, strict=True))
        else:
            pairs = [(s.depth, s.valid) for s in (source[i] for i in indices) if s.depth is not None]
        found += [torch.where(valid, depth, torch.nan)[0] for depth, valid in pairs]
    return found


def row(found: list[Tensor], below: float) -> list[float]:
    parts: list[list[Tensor]] = [[] for _ in PARTS]
    everything = []
    for depth in found:
        height = depth.shape[0]
        for part, number in zip(parts, PARTS, strict=True):
            part.append(depth[round(height * number / 12) : round(height * (number + 1) / 12)].flatten())
        everything.append(depth[round(height * below) :].flatten())
    pixels = torch.cat(everything)
    pixels = pixels[pixels.isfinite()][:: max(pixels.numel() // 10**7, 1)]
    ends = torch.quantile(pixels, torch.tensor([0.5, 0.05, 0.95]))
    return [*(float(torch.cat(part).nanmean()) for part in parts), *ends.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specs", nargs="+")
    parser.add_argument("--size", type=parse_size, default="96x320")
    parser.add_argument("--below", type=float, default=0.5)
    given = parser.parse_args()
    heads = [*(f"{number + 1}th" for number in PARTS), "median", "5 %", "95 %"]
    print("| | " + " | ".join(heads) + " |\n" + "|---" * (len(heads) + 1) + "|")
    for spec in given.specs:
        print(f"| `{spec}`, m | " + " | ".join(f"{v:.1f}" for v in row(maps(spec, given.size), given.below)) + " |")


if __name__ == "__main__":
    main()
