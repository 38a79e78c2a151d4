"""What a protocol says, its hash, and the modifiers that its name may carry."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from kdcli.errors import ConfigError, nearest
from kdcli.evals.crops import Box, Frame
from kdcli.files import digest
from kdcli.types import ReadOut

if TYPE_CHECKING:
    from torch import Tensor

Alignment = Literal["none", "median", "scale-shift", "scale-shift-disparity", "scale-shift-log"]
Aggregation = Literal["image", "mse", "pixel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What an alignment by least squares leaves out."""

    floor: float = 1e-6
    """Smallest aligned inverse depth, before it is inverted."""
    beyond: Literal["far", "near"] = "far"
    """What becomes of an aligned inverse depth that is not above zero: the farthest that there is, as its floor says,
    or the nearest."""
    positive: bool = False
    """Whether a fit in inverse depth leaves out pixels at which the prediction is not above zero; they are measured."""
    side: int | None = None
    """Longest side of the map that is fitted to. Columns alone are left out to come down to it: that is what Marigold's
    code does."""

    def columns(self, height: int, width: int) -> Tensor | None:
        """Return which columns of a map are fitted to, W booleans; None = all."""
        if self.side is None or max(height, width) <= self.side:
            return None
        import torch
        from torch.nn.functional import interpolate

        numbers = torch.arange(width, dtype=torch.float32).view(1, 1, -1)
        kept = interpolate(numbers, scale_factor=self.side / max(height, width), mode="nearest").long().flatten()
        return torch.zeros(width, dtype=torch.bool).index_fill_(0, kept, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How predictions are compared with ground truth."""

    name: str
    measures: str = ""
    """What its numbers are of, in a line."""
    used_by: str = ""
    """Whose numbers are made so."""
    band: float | None = None
    """Share of the rows of image and ground truth, about the middle one, that there are at all; None = all."""
    frame: Frame | None = None
    """Cut of image and ground truth before the model."""
    crop: Box | None = None
    """Pixels of the ground truth that count; None = all."""
    min_depth: float = 1e-3
    max_depth: float | None = 80.0
    """Ground truth counts strictly between the two, in metres; None = no cap."""
    clamp: bool = True
    """Whether the aligned prediction is clipped to that range."""
    clip_to: tuple[float, float | None] | None = None
    """Range that it is clipped to where that is another."""
    resize: Literal["model", "bilinear", "bilinear-corners", "bicubic", "nearest"] = "model"
    """How a prediction comes to the size of the ground truth, in the network's own output space. ``-corners``
    aligns corner pixels; ``model`` is what the model's ``read_out`` says, bilinear where it has none."""
    alignment: Alignment = "none"
    fit: Fit = Fit()
    aggregation: Aggregation = "image"
    """RMSE is the mean of per-image values (``image``), the root of the mean per-image MSE (``mse``), or pooled over
    all pixels (``pixel``). All other metrics are means of per-image values."""
    flip: bool | None = None
    """Whether the prediction is averaged with the one for the mirrored image; None is what the
    model's ``read_out`` says, no where it has none."""
    clip_views: bool = True
    """Whether each of the two views is clipped before they are averaged, or their mean alone."""
    delta_inclusive: bool = False
    """Whether a ratio of exactly 1.25 counts as within; most published code says no."""
    least: int = 1
    """Pixels that have to count in an image for it to be measured."""
    truth: Literal["measured", "teacher"] = "measured"
    """What predictions are compared with: depth that was measured (accuracy), or what a teacher says (fidelity)."""
    extras: tuple[str, ...] = ()
    """Metrics beside the nine, by their names in ``kdcli.evals.extras``."""
    origin: Protocol | None = None
    """What it was before modifiers."""

    @property
    def hash(self) -> str:
        """A short hash of all that changes a number; what is left to the model counts as for one that declares
        nothing."""
        content = asdict(self.for_model(ReadOut()))
        for word in _WORDS:
            del content[word]
        return digest(_without_later(content))

    def document(self) -> dict[str, str]:
        """Return what every result carries."""
        return {"name": self.name, "hash": self.hash}

    def describe(self) -> dict[str, Any]:
        """Return all of it, for reports."""
        content = asdict(self)
        del content["origin"]
        return {**content, "hash": self.hash}

    def for_model(self, read: ReadOut) -> Protocol:
        """Return the protocol with what it leaves to the model filled in; the hash of a result is of this one."""
        resize = _RESIZE_WORDS[read.resize] if self.resize == "model" else None
        flip = ("flip" if read.flip else "no-flip") if self.flip is None else None
        made = self
        for word in (resize, flip):
            if word in ("bilinear", "no-flip"):  # what everybody expects needs no word in the name
                key, value = MODIFIERS[word]
                made = replace(made, **{key: value})
            elif word is not None:
                made = made.modified(word)
        return made

    def modified(self, modifier: str) -> Protocol:
        """Return the protocol with one modifier: an alignment, an aggregation, a resize, ``flip`` or ``no-flip``, or an
        end of the range (``max10``, ``min0.5``: metres).

        A modifier that changes nothing leaves the name alone too.

        Raises:
            ConfigError: an unknown modifier.
        """
        key, value = meaning(modifier)
        if getattr(self, key) == value:
            return self
        origin = self.origin or self
        # Later modifiers of one field replace earlier ones in the name: plain+median, not plain+scale-shift+median.
        base, *given = self.name.split("+")
        kept = [m for m in given if not _known(m) or meaning(m)[0] != key]
        back = getattr(origin, key) == value
        if back and not kept and origin.name == base:
            return origin
        name = "+".join([base, *kept] if back else [base, *kept, modifier])
        return replace(self, name=name, origin=origin, **{key: value})


MODIFIERS: dict[str, tuple[str, Any]] = {
    "none": ("alignment", "none"),
    "median": ("alignment", "median"),
    "scale-shift": ("alignment", "scale-shift"),
    "scale-shift-disparity": ("alignment", "scale-shift-disparity"),
    "scale-shift-log": ("alignment", "scale-shift-log"),
    "flip": ("flip", True),
    "no-flip": ("flip", False),
    "image": ("aggregation", "image"),
    "mse": ("aggregation", "mse"),
    "pixel": ("aggregation", "pixel"),
    "bilinear": ("resize", "bilinear"),
    "corners": ("resize", "bilinear-corners"),
    "bicubic": ("resize", "bicubic"),
    "nearest": ("resize", "nearest"),
}
"""Word after ``+`` in a protocol name -> field and value."""

_RANGE = re.compile(r"(min|max)(\d{1,6}(?:\.\d{1,6})?)")
"""A modifier that says where ground truth begins or ends to count."""


def meaning(modifier: str) -> tuple[str, Any]:
    """Return the field that a modifier sets, and its value.

    Raises:
        ConfigError: an unknown modifier.
    """
    if modifier in MODIFIERS:
        return MODIFIERS[modifier]
    if match := _RANGE.fullmatch(modifier):
        return f"{match[1]}_depth", float(match[2])
    near, known = nearest(modifier, MODIFIERS), ", ".join([*MODIFIERS, "minMETRES", "maxMETRES"])
    raise ConfigError(f"protocol modifier '{modifier}' is unknown.{near} Known: {known}")


def _known(modifier: str) -> bool:
    return modifier in MODIFIERS or _RANGE.fullmatch(modifier) is not None


_RESIZE_WORDS = {value: word for word, (key, value) in MODIFIERS.items() if key == "resize"}

_WORDS = ("name", "measures", "used_by", "extras", "origin")
"""Fields that change no number: extra metrics stand beside the others."""
_LATER: dict[str, dict[str, Any]] = {
    "": {"truth": "measured", "band": None, "clip_to": None, "clip_views": True, "fit": asdict(Fit()), "least": 1},
    "fit": {"beyond": "far"},
    "frame": {"stretch": False, "then": None, "sampling": "smooth"},
    "crop": {"unit": "share"},
}
"""Fields that are younger than hashes that stand in results, with what was meant before: it is in no hash."""


def _without_later(content: dict[str, Any]) -> dict[str, Any]:
    for where, fields in _LATER.items():
        table = content if not where else content.get(where)
        for key, meant in fields.items():
            if table is not None and table[key] == meant:
                del table[key]
    return content
