"""Maps of how sure a model is, beside its depth: raw numbers, what they mean, and a picture where bright is unsure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdcli.colour import colourise, legend, limits_of, with_legend
from kdcli.images import write_depth_npy, write_depth_png, write_image

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
    """What was written of one map; files are None where not asked for. ``value = stored * step + offset``."""

    unit: str
    minimum: float
    maximum: float
    png: Path | None = None
    step: float | None = None
    offset: float | None = None
    npy: Path | None = None
    colour: Path | None = None
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UncertaintyMap(MapFiles):
    """What was written of a map of uncertainty; stored 0 is no value."""

    meaning: str

    def sidecar(self) -> dict[str, Any]:
        """Return it for the JSON file that lies beside the others, which are named without folders."""
        return {key: value.name if isinstance(value, Path) else value for key, value in asdict(self).items()}


def write_map(
    base: Path, name: str, values_HW: Tensor, valid_HW: Tensor, *, unit: str, png: bool, npy: bool, coloured: bool,
    step: float | None, limits: tuple[float, float] | None,
) -> UncertaintyMap:
    """Write one map.

    base: path and name without ending. name: a key of ``MEANING``. unit: of depth. step: of a whole number in a 16-bit
    PNG, None: the map's own range is spread over the 16 bits. limits: of the colours, where earlier ones set them.
    """
    known = values_HW[valid_HW]
    low, high = (float(known.min()), float(known.max())) if known.numel() else (0.0, 0.0)
    facts: dict[str, Any] = {
        "meaning": MEANING[name], "unit": _UNITS.get(name, unit), "minimum": low, "maximum": high,
    }
    # Not Path.with_suffix: names may hold dots of their own.
    if png:
        facts["png"] = base.with_name(f"{base.name}.{name}.png")
        step = _ENTROPY_STEP if name == "entropy" else max(high, 1e-9) / 65533 if step is None else step
        # One is added, since 0 stands for no value and a deviation may be 0.
        stored = (values_HW.double() / step).clamp(0, 65533) + 1
        write_depth_png(facts["png"], stored, scale=1.0, valid=valid_HW)
        facts |= {"step": step, "offset": -step}
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
