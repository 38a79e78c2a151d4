"""At which size a run works: the teacher's, brought to the shape of the images."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kdcli.types import MadeFor

Size = tuple[int, int]
STEP = 32
"""Pixels that sizes are multiples of: networks halve their images five times."""
ALIKE = 0.06
"""Shapes whose ratios of width to height differ by less are one shape: 480x640 and 416x544 do not, by 0.019."""
USUAL = (480, 640)
"""What images are brought to at most where no teacher says a size."""
LARGER = 2.0
"""How many times the area of its training images a teacher is shown images as they are."""
FRAMES = {"indoor": (480, 640), "driving": (375, 1242)}
"""Of the benchmarks that teachers of a domain are trained on: a teacher whose size has another shape stretches them."""
BATCHES = ((192 * 256, 16), (480 * 640, 8), (1 << 40, 4))
"""Most pixels of an image, and how many of them are in a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """A size and the windows cut out of it, if any, with the reason."""

    size: Size
    crop: Size | None
    why: str


def size_for(made_for: MadeFor, own: Size | None) -> Sized:
    """Return the size for a teacher and images; ``own`` is None for images that are rendered at any size.

    Images of files are brought to the size at which the teacher's authors show it images when they measure, in their
    own shape unless the authors stretch theirs, and windows as large as its training images are cut out of them.
    Rendered ones have the size of its training images at once.
    """
    train, measured = made_for.train_size, made_for.eval_size
    if own is None:
        size = train or measured or USUAL
        why = "what the teacher was trained at" if size in (train, measured) else "the teacher says none"
        return Sized(size=size, crop=None, why=why)
    if measured is not None:
        size, how = _as_shown(measured, made_for, own)
        why = f"the teacher is shown images at {_text(measured)}{how}"
    elif train is not None and _area(own) > LARGER * _area(train):
        size = train if alike(train, own) else in_shape(train, own)
        why = f"the teacher is trained at {_text(train)}" + ("" if size == train else ", here in the images' shape")
    else:
        size = own if train is not None or _area(own) <= _area(USUAL) else in_shape(USUAL, own)
        why = "the images' own" if size == own else f"the images' shape at the area of {_text(USUAL)}"
    windows = train is not None and (measured is None or (train != measured and _area(train) < _area(measured)))
    return Sized(size=size, crop=_window(train, size) if windows and train else None, why=why)


def _as_shown(measured: Size, made_for: MadeFor, own: Size) -> tuple[Size, str]:
    """Return the size for images of a shape where the authors show theirs at one size, and a word on how."""
    if alike(measured, own):
        return measured, ""
    if made_for.fit != "stretch":
        scales = measured[0] / own[0], measured[1] / own[1]
        scale, how = (min(scales), "most") if made_for.fit == "within" else (max(scales), "least")
        return _rounded((round(own[0] * scale), round(own[1] * scale))), f" at {how}, in their shape"
    frames = FRAMES.get(made_for.domain)
    if frames is None or not alike(measured, frames):
        return measured, ", stretched to that"
    # Frames of that size are shown in their true shape, and so are these.
    return in_shape(measured, own), ", here in the images' shape"


def batch_for(size: Size, images: int) -> int:
    """Return how many images of a size a batch holds, never more than there are."""
    fits = next(count for most, count in BATCHES if _area(size) <= most)
    return max(min(fits, images), 1)


def alike(one: Size, two: Size) -> bool:
    """Whether two sizes have about the same shape."""
    return abs(math.log((one[1] / one[0]) / (two[1] / two[0]))) < ALIKE


def in_shape(base: Size, shape: Size) -> Size:
    """Return a size of the area of one and the shape of another, in multiples of 32."""
    ratio = shape[1] / shape[0]
    height = math.sqrt(_area(base) / ratio)
    return _rounded((round(height), round(height * ratio)))


def _window(train: Size, size: Size) -> Size | None:
    """Return windows as large as the teacher's training images; None where these are no smaller than whole ones."""
    if (train[0] > train[1]) != (size[0] > size[1]):  # lying and standing images
        train = (train[1], train[0])
    window = (min(train[0], size[0]), min(train[1], size[1]))
    return None if window == size or min(window) < STEP else window


def _rounded(size: Size) -> Size:
    height, width = (max(round(side / STEP), 1) * STEP for side in size)
    return height, width


def _area(size: Size) -> int:
    return size[0] * size[1]


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
