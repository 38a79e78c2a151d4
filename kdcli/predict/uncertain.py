"""Maps of how sure a model is, beside its depth: raw numbers, what they mean, and a picture where bright is unsure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdcli.colour import colourise, legend, limits_of, with_legend
from kdcli.images import write_depth_npy, write_image, write_units_png
from kdcli.predict.holding import ends, from_zero

COLOURS = "magma"
MEANING = {
    "std": "standard deviation of the predicted distribution over depth",
    "entropy": "entropy of the predicted distribution over depth bins as a share of the greatest, ln of their number",
}
"""Maps by name, and what they hold."""
ENDINGS = tuple(f".{name}{end}" for name in MEANING for end in (".png", ".npy", ".colour.png"))
"""Endings of the files that this writes."""

_UNITS = {"entropy": "ln K"}
_ENTROPY_STEP = 1 / 65000


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFiles:
    """What was written of one map; files are None where not asked for. ``value = stored * step + offset``.

    minimum, maximum: of what is in the PNG, in the NPY where that is alone; None where it holds no value. predicted:
    least and greatest value that the model gave. not_finite: pixels where it gave none, no value in the files.
    saturated, not_positive: pixels that the PNG holds as its last step, or not at all.
    """

    unit: str
    minimum: float | None
    maximum: float | None
    predicted: tuple[float | None, float | None]
    not_finite: int = 0
    saturated: int = 0
    not_positive: int = 0
    png: Path | None = None
    step: float | None = None
    offset: float | None = None
    npy: Path | None = None
    colour: Path | None = None
    limits: tuple[float, float] | None = None

    @property
    def losses(self) -> str:
        """What of the map is not in the files as the model gave it, in words; empty where all is."""
        counts = (
            (self.not_finite, "not finite"),
            (self.saturated, f"saturated at {self.maximum:.5g} {self.unit}".rstrip() if self.saturated else ""),
            (self.not_positive, "at or below 0"),
        )
        return ", ".join(f"{count} pixels {what}" for count, what in counts if count)


@dataclass(frozen=True, slots=True, kw_only=True)
class UncertaintyMap(MapFiles):
    """What was written of a map of uncertainty; stored 0 is no value."""

    meaning: str

    def sidecar(self) -> dict[str, Any]:
        """Return it for the JSON file that lies beside the others, which are named without folders."""
        return {key: value.name if isinstance(value, Path) else value for key, value in asdict(self).items()}


def write_map(
    base: Path, name: str, values_HW: Tensor, shown_HW: Tensor, *, unit: str, png: bool, npy: bool, coloured: bool,
    step: float | None, limits: tuple[float, float] | None,
) -> UncertaintyMap:
    """Write one map.

    base: path and name without ending. name: a key of ``MEANING``. shown: where there is depth. unit: of depth. step:
    of a whole number in a 16-bit PNG, None: the map's own range is spread over the 16 bits. limits: of the colours,
    where earlier ones set them.
    """
    valid_HW = shown_HW & torch.isfinite(values_HW)
    low, high = ends(values_HW, valid_HW)
    facts: dict[str, Any] = {
        "meaning": MEANING[name], "unit": _UNITS.get(name, unit), "minimum": low, "maximum": high,
        "predicted": (low, high), "not_finite": int((shown_HW & ~valid_HW).sum()),
    }
    # Not Path.with_suffix: names may hold dots of their own.
    if png:
        facts["png"] = base.with_name(f"{base.name}.{name}.png")
        held = from_zero(values_HW, valid_HW, _ENTROPY_STEP if name == "entropy" else step)
        write_units_png(facts["png"], held.units)
        facts |= held.facts()
    if npy:
        facts["npy"] = base.with_name(f"{base.name}.{name}.npy")
        write_depth_npy(facts["npy"], values_HW.where(valid_HW, values_HW.new_full((), torch.nan)))
    if coloured:
        used = facts["limits"] = limits or _limits(name, values_HW, valid_HW)
        picture = colourise(values_HW, valid_HW, disparity=True, limits=used, name=COLOURS)
        strip = legend(picture.shape[-1], used, disparity=True, unit=facts["unit"] or "units", name=COLOURS)
        facts["colour"] = base.with_name(f"{base.name}.{name}.colour.png")
        write_image(facts["colour"], with_legend(picture, strip))
    return UncertaintyMap(**facts)


def _limits(name: str, values_HW: Tensor, valid_HW: Tensor) -> tuple[float, float]:
    """Return the range of colours: that of a share is known, a deviation begins at 0."""
    if name == "entropy":
        return 0.0, 1.0
    return 0.0, max(limits_of(values_HW, valid_HW, disparity=True)[1], 1e-6)
