"""The size at which a model is shown an image, where nobody names one: that which it was made for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from kdcli.spec import parse_size
from kdcli.types import MadeFor

Asked = tuple[int, int] | Literal["own", "native"]
"""Height and width; ``own``: what the model was made for; ``native``: the image's."""

MOST_NAMED = 3
"""Sizes that one line names."""

STEP = 32
"""Sides are multiples of this where an image keeps its aspect ratio, which is what most networks need."""

FAR_OFF, FAR_OFF_FRAMES = 1.5, 2.0
"""Factor of a side's length from which on a size is another one than a model was trained at; the second for one that is
measured on whole frames after it was trained on windows of them."""


def parse_shown(text: str | None) -> Asked:
    """Return what ``--size`` says: HxW, ``native``, or what the model was made for where it is not given.

    Raises:
        SpecError: something else.
    """
    if text is None:
        return "own"
    return "native" if text == "native" else parse_size(text)


def own_size(model: Any) -> tuple[int, int] | None:
    """Return the size that a model was made to be used at; None for one that takes images as they are."""
    made = getattr(model, "made_for", None)
    return made.eval_size if isinstance(made, MadeFor) else None


def shown_size(model: Any, asked: Asked | None, image: tuple[int, int]) -> tuple[int, int] | None:
    """Return the height and width at which a model is shown an image of a height and width; None = as it is.

    ``asked`` None is ``native``.
    """
    if isinstance(asked, tuple):
        return asked
    own = own_size(model) if asked == "own" else None
    if own is None:
        return None
    # Stretched to it where nothing else is said: so were the images that it learned from.
    return _fitted(image, own, model.made_for.fit)


def difference(model: Any, shown: tuple[int, int]) -> str | None:
    """Return that a size is far from the one at which a model was trained, in words; None where it is not, and for a
    model that brings every image to one size itself."""
    made = getattr(model, "made_for", None)
    if not isinstance(made, MadeFor) or isinstance(getattr(model, "input_size", None), tuple):
        return None
    size = made.eval_size or made.train_size
    factor = FAR_OFF_FRAMES if made.eval_size is None else FAR_OFF
    if size is None:
        return None
    meant = _fitted(shown, size, made.fit)
    if all(1 / factor <= a / b <= factor for a, b in zip(shown, meant, strict=True)):
        return None
    return f"sees images at {_text(shown)}, but was trained at {_text(size)}, which can cost much of its accuracy"


def remark(model: Any, asked: Asked | None, pairs: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> str | None:
    """Return what a user should know of the sizes at which a model saw images; ``{}`` stands for the model's name.

    pairs: sizes of images, and those at which they were shown. None where there is nothing to say.
    """
    found = list(dict.fromkeys(pairs))
    if asked == "own" and own_size(model) is not None:
        if all(image == shown for image, shown in found):
            return None
        sizes = list(dict.fromkeys(shown for _, shown in found))
        return f"{{}}: seen at {_named(sizes)}, {_why(model.made_for, sizes)}; --size native for the image's own size"
    told = next((one for _, shown in found if (one := difference(model, shown))), None)
    return None if told is None else f"warning: {{}} {told}"


def _fitted(image: tuple[int, int], box: tuple[int, int], fit: str) -> tuple[int, int]:
    """Return the size of an image that is stretched to a box, or that lies ``within`` or ``around`` it."""
    if fit == "stretch":
        return box
    factors = [side / own for side, own in zip(box, image, strict=True)]
    factor = min(factors) if fit == "within" else max(factors)
    height, width = (max(round(own * factor / STEP), 1) * STEP for own in image)
    return height, width


def _named(sizes: Sequence[tuple[int, int]]) -> str:
    shown = [_text(size) for size in sizes[:MOST_NAMED]]
    if len(sizes) > MOST_NAMED:
        return f"{', '.join(shown)} and {len(sizes) - MOST_NAMED} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _why(made: MadeFor, sizes: Sequence[tuple[int, int]]) -> str:
    """Return why a model is shown images at these sizes."""
    assert made.eval_size is not None
    if list(sizes) == [made.train_size]:
        return "as it was trained"
    if list(sizes) == [made.eval_size]:
        return "for which it was made"
    return f"in each image's own shape {made.fit} {_text(made.eval_size)}, for which it was made"


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
