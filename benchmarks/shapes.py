"""How images of another shape are best shown: stretched to the size of training, kept within it, or of as many pixels.

python benchmarks/shapes.py MODEL SPEC --own 192x640 --windows 375x1242,375x667,... [--at bottom|centre] [--step 32]
    [--align median] [--limit 10]

SPEC is a source with depth, ``--own`` the size that MODEL was made for; a network that brings images to one size itself
takes it as ``{size}`` in its spec. Windows are cut out of the images, from the middle of the width. Prints delta1 as a
table.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from itertools import islice

import kdcli
from kdcli.protocols import Source
from kdcli.sources import load_source
from kdcli.spec import parse_size
from kdcli.types import Sample

Size = tuple[int, int]


class Windows:
    """A source's images, each cut to one size."""

    def __init__(self, source: Source, window: Size, at: str, limit: int) -> None:
        self.source, self.window, self.at = source, window, at
        self.name, self.depth_kind = source.name, source.depth_kind
        labelled = (i for i in range(len(source)) if source[i].depth is not None)
        self._found = list(islice(labelled, limit))

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int) -> Sample:
        sample = self.source[self._found[index]]
        if sample.depth is None or sample.depth.shape[-2:] != sample.image.shape[-2:]:
            raise SystemExit(f"'{sample.id}' has depth of another size than the image, which this does not cut")
        (height, width), (whole_height, whole_width) = self.window, sample.image.shape[-2:]
        height, width = min(height, whole_height), min(width, whole_width)
        top = whole_height - height if self.at == "bottom" else (whole_height - height) // 2
        left = (whole_width - width) // 2
        cut = (..., slice(top, top + height), slice(left, left + width))
        maps = {name: getattr(sample, name) for name in ("image", "depth", "valid", "instances")}
        return replace(sample, **{name: one[cut] for name, one in maps.items() if one is not None})


def ways(own: Size, window: Size, step: int) -> dict[str, Size]:
    """Return the sizes at which a window can be shown, by what is kept."""

    def scaled(factor: float) -> Size:
        return tuple(max(round(side * factor / step), 1) * step for side in window)  # type: ignore[return-value]

    within = min(own[0] / window[0], own[1] / window[1])
    as_many = math.sqrt(own[0] * own[1] / (window[0] * window[1]))
    return {"stretched": own, "kept within": scaled(within), "as many pixels": scaled(as_many)}


def delta1(model: str, images: Source, size: Size, align: str | None) -> float:
    loaded = kdcli.load_model(model.replace("{size}", f"{size[0]}x{size[1]}"))
    found = kdcli.evaluate({"model": loaded}, images, "plain", align=align, device="cpu", size=size)
    return found["model"].metrics["delta1"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("spec")
    parser.add_argument("--own", type=parse_size, required=True)
    parser.add_argument("--windows", type=lambda text: [parse_size(one) for one in text.split(",")], required=True)
    parser.add_argument("--at", choices=("bottom", "centre"), default="centre")
    parser.add_argument("--step", type=int, default=32)
    parser.add_argument("--align", default=None)
    parser.add_argument("--limit", type=int, default=10)
    given = parser.parse_args()
    source = load_source(given.spec)
    for number, window in enumerate(given.windows):
        images = Windows(source, window, given.at, given.limit)
        shown = ways(given.own, window, given.step)
        found = [delta1(given.model, images, size, given.align) for size in shown.values()]
        if number == 0:
            print("| window | " + " | ".join(shown) + " |\n" + "|---" * (len(shown) + 1) + "|")
        print(f"| {window[0]}x{window[1]} | " + " | ".join(f"{value:.3f}" for value in found) + " |", flush=True)


if __name__ == "__main__":
    main()
