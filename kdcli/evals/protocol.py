"""Protocols: how a number was measured, as data with a name and a hash.

The hash covers everything but the name, so two results compare exactly when their hashes are equal. A name may carry
modifiers: ``nyu-eigen+flip``, ``plain+median``, ``kitti-garg+pixel``, ``plain+max10``.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from kdcli.errors import ConfigError, nearest
from kdcli.evals.crops import Box, Frame
from kdcli.files import digest
from kdcli.types import ReadOut

Alignment = Literal["none", "median", "scale-shift"]
Aggregation = Literal["image", "mse", "pixel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How predictions are compared with ground truth."""

    name: str
    frame: Frame | None = None
    """Cut of image and ground truth before the model."""
    crop: Box | None = None
    """Pixels of the ground truth that count; None = all."""
    min_depth: float = 1e-3
    max_depth: float | None = 80.0
    """Ground truth counts strictly between the two, in metres; None = no cap."""
    clamp: bool = True
    """Whether the aligned prediction is clipped to that range."""
    resize: Literal["model", "bilinear", "bilinear-corners", "bicubic", "nearest"] = "model"
    """How a prediction comes to the size of the ground truth, in the network's own output space. ``-corners``
    aligns corner pixels; ``model`` is what the model's ``read_out`` says, bilinear where it has none."""
    alignment: Alignment = "none"
    aggregation: Aggregation = "image"
    """RMSE is the mean of per-image values (``image``), the root of the mean per-image MSE (``mse``), or pooled over
    all pixels (``pixel``). All other metrics are means of per-image values."""
    flip: bool | None = None
    """Whether the prediction is averaged with the one for the mirrored image, each clipped first; None is what the
    model's ``read_out`` says, no where it has none."""
    delta_inclusive: bool = False
    """Whether a ratio of exactly 1.25 counts as within; most published code says no."""
    truth: Literal["measured", "teacher"] = "measured"
    """What predictions are compared with: depth that was measured (accuracy), or what a teacher says (fidelity)."""

    @property
    def hash(self) -> str:
        """A short hash of all but the name; what is left to the model counts as for one that declares nothing."""
        content = asdict(self.for_model(ReadOut()))
        del content["name"]
        if self.truth == "measured":  # accuracy is what is meant where nothing is said
            del content["truth"]
        return digest(content)

    def document(self) -> dict[str, str]:
        """Return what every result carries."""
        return {"name": self.name, "hash": self.hash}

    def describe(self) -> dict[str, Any]:
        """Return all of it, for reports."""
        return {**asdict(self), "hash": self.hash}

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
        # Later modifiers of one field replace earlier ones in the name: plain+median, not plain+scale-shift+median.
        base, *given = self.name.split("+")
        kept = [m for m in given if not _known(m) or meaning(m)[0] != key]
        returns_to_base = base in PROTOCOLS and getattr(PROTOCOLS[base], key) == value
        name = "+".join([base, *kept] if returns_to_base else [base, *kept, modifier])
        return replace(self, name=name, **{key: value})


MODIFIERS: dict[str, tuple[str, Any]] = {
    "none": ("alignment", "none"),
    "median": ("alignment", "median"),
    "scale-shift": ("alignment", "scale-shift"),
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

_KB = Frame(height=352, width=1216, bottom=True)
_KB_PASTED = replace(_KB, paste=True)
_GARG = Box(rows=(0.40810811, 0.99189189), columns=(0.03594771, 0.96405229))
_EIGEN = Box(rows=(0.3324324, 0.91351351), columns=(0.0359477, 0.96405229))

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(name="plain"),
        # 45:471, 41:601 is the border without projected Kinect depth; used by Eigen's successors, BTS and AdaBins.
        Protocol(name="nyu-eigen", crop=Box(rows=(45, 471), columns=(41, 601), of=(480, 640)), max_depth=10.0),
        # Hu et al.: 640x480 to 320x240, then the centre; ground truth above zero, no cap, and "<=" in the deltas.
        Protocol(
            name="nyu-hu-crop", frame=Frame(height=228, width=304, short_side=240), min_depth=0.0, max_depth=None,
            clamp=False, delta_inclusive=True,
        ),
        # AdaBins and its successors: the box is taken on the 352 x 1216 cut.
        Protocol(name="kitti-garg", frame=_KB, crop=_GARG),
        Protocol(name="kitti-eigen", frame=_KB, crop=_EIGEN),
        # BTS: the prediction for the cut is pasted into the full frame and the box is taken there.
        Protocol(name="kitti-garg-full", frame=_KB_PASTED, crop=_GARG),
        Protocol(name="kitti-eigen-full", frame=_KB_PASTED, crop=_EIGEN),
        # Against a teacher, see ``kdcli.evals.reference``: no accuracy.
        Protocol(name="fidelity", max_depth=None, truth="teacher"),
    )
}
"""The protocols by name."""


def find(name: str) -> Protocol:
    """Return the protocol of a name, with its modifiers.

    Raises:
        ConfigError: an unknown name or modifier, or a range without anything in it; the message names the nearest.
    """
    base, *modifiers = name.split("+")
    if base not in PROTOCOLS:
        raise ConfigError(
            f"protocol '{base}' is unknown.{nearest(base, PROTOCOLS)} Known: {', '.join(PROTOCOLS)}; "
            f"each may be followed by +{', +'.join(MODIFIERS)}, +minMETRES, +maxMETRES"
        )
    protocol = PROTOCOLS[base]
    for modifier in modifiers:
        protocol = protocol.modified(modifier)
    if protocol.max_depth is not None and protocol.min_depth >= protocol.max_depth:
        raise ConfigError(
            f"protocol '{name}' counts depth from {protocol.min_depth:g} to {protocol.max_depth:g} m, which is none"
        )
    return protocol
