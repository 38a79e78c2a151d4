"""Write what a model said of one picture: raw numbers, a picture with a legend, and what the numbers mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from kdcli.colour import colourise, legend, limits_of, with_legend
from kdcli.errors import DataError
from kdcli.files import write_json
from kdcli.images import UNITS_NOTE, write_depth_npy, write_image, write_units_png
from kdcli.predict.holding import Held, ends, positive, require_some, spread
from kdcli.predict.inputs import Frame
from kdcli.predict.uncertain import ENDINGS, MapFiles, UncertaintyMap, write_map
from kdcli.sources.listing import is_sidecar
from kdcli.types import DepthKind
from kdcli.version import __version__

Format = Literal["png16", "npy", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted(MapFiles):
    """What was written for one picture: its map of depth, and what it is of."""

    input: Path
    name: str
    depth_kind: str
    size: tuple[int, int]
    seen: tuple[int, int]
    """Height and width at which the model saw it."""
    turned: int = 1
    """EXIF orientation that the picture was stored in; all maps are upright."""
    uncertainty: Mapping[str, UncertaintyMap] | None = None
    """Maps by name, where they were asked for."""
    points: Mapping[str, Any] | None = None
    """The cloud of points, where it was asked for: ``file``, ``count``, ``camera`` and what told it, pixels without."""

    @property
    def all_losses(self) -> str:
        """What of depth and uncertainty is not in the files as the model gave it, in words; empty where all is."""
        maps = {"depth": self.losses, **{name: one.losses for name, one in (self.uncertainty or {}).items()}}
        return "; ".join(f"{name}: {losses}" for name, losses in maps.items() if losses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Depth and where it is a number, H x W on the CPU, and maps of uncertainty by name.

    seen: height and width at which the model saw the picture. not_finite: pixels where the model has an opinion that is
    no finite number.
    """

    seen: tuple[int, int]
    depth: Tensor
    valid: Tensor
    not_finite: int
    maps: Mapping[str, Tensor]


@contextmanager
def whole(base: Path) -> Iterator[None]:
    """Leave all files of a picture or none, whatever stops the writing.

    Raises:
        DataError: a file is in the way that no earlier call wrote, such as the true depth beside a photograph.
    """
    endings = (".depth.png", ".depth.npy", ".colour.png", ".json", *ENDINGS)
    files = [base.with_name(base.name + end) for end in endings]
    before = [path for path in files if path.exists()]
    if before and not is_sidecar(base.with_name(f"{base.name}.json")):
        raise DataError(f"'{before[0]}' is there and was not written by kdcli predict; use another --out, or move it")
    try:
        yield
    except BaseException:
        for path in files:
            if path not in before:
                path.unlink(missing_ok=True)
        raise


def write(
    model: nn.Module, frame: Frame, said: Said, out: Path, format: Format, cmap: str | None,
    limits: Mapping[str, tuple[float, float] | None], points: Mapping[str, Any] | None = None,
) -> Predicted:
    """Write one picture's files below ``out``; limits: of the colours by map, None where the map sets its own.

    points: what the sidecar says of its cloud of points.

    Raises:
        DataError: a prediction without one number that the files could hold.
    """
    depth_HW, valid_HW = said.depth, said.valid
    kind = DepthKind(model.depth_kind)  # type: ignore[arg-type]
    require_some(depth_HW, valid_HW, said.not_finite, above_zero=kind is DepthKind.METRIC and format != "npy")
    low, high = ends(depth_HW, valid_HW)
    facts: dict[str, Any] = {
        "input": frame.path, "name": frame.name, "depth_kind": str(kind), "unit": kind.unit,
        "size": (depth_HW.shape[0], depth_HW.shape[1]), "seen": said.seen, "turned": frame.turned,
        "not_finite": said.not_finite, "minimum": low, "maximum": high, "predicted": (low, high), "points": points,
    }
    # Not Path.with_suffix: names may hold dots of their own.
    base = out / frame.name
    if format in ("png16", "both"):
        facts["png"] = base.with_name(f"{base.name}.depth.png")
        facts |= _write_png(facts["png"], model, kind, depth_HW, valid_HW).facts()
    if format in ("npy", "both"):
        facts["npy"] = base.with_name(f"{base.name}.depth.npy")
        write_depth_npy(facts["npy"], depth_HW.where(valid_HW, depth_HW.new_full((), float("nan"))))
    if cmap is not None:
        how = {"disparity": kind.is_disparity, "linear": kind is DepthKind.AFFINE_DEPTH}
        used = facts["limits"] = limits["depth"] or limits_of(depth_HW, valid_HW, **how)
        picture = colourise(depth_HW, valid_HW, limits=used, name=cmap, **how)
        strip = legend(picture.shape[-1], used, unit=kind.unit, name=cmap, **how)
        facts["colour"] = base.with_name(f"{base.name}.colour.png")
        write_image(facts["colour"], with_legend(picture, strip))
    if said.maps:
        step = 1 / _scale(model) if kind is DepthKind.METRIC else None
        facts["uncertainty"] = {
            name: write_map(base, name, one, valid_HW, unit=kind.unit, png=format != "npy",
                            npy=format != "png16", coloured=cmap is not None, step=step, limits=limits.get(name))
            for name, one in said.maps.items()
        }  # fmt: skip
    result = Predicted(**facts)
    document = asdict(result) | {key: value.name for key in ("png", "npy", "colour") if (value := facts.get(key))}
    del document["uncertainty"]
    if points is None:
        del document["points"]
    if result.uncertainty is not None:
        document["uncertainty"] = {name: one.sidecar() for name, one in result.uncertainty.items()}
    write_json(base.with_name(f"{base.name}.json"), document | {"kdcli": __version__, "colour_map": cmap})
    return result


def _write_png(path: Path, model: nn.Module, kind: DepthKind, depth_HW: Tensor, valid_HW: Tensor) -> Held:
    """Write 16 bits and return what is in them; 0 is not valid.

    Metric depth: millimetres where the model's range fits, else 1/256 m as KITTI does; the same for every picture of a
    model. Other kinds have no unit, so each picture's own range is spread over the 16 bits.
    """
    if kind is DepthKind.METRIC:
        scale = _scale(model)
        held = positive(depth_HW, valid_HW, 1.0 / scale)
        write_units_png(path, held.units, {UNITS_NOTE: f"{scale:.17g}"})
    else:
        held = spread(depth_HW, valid_HW)
        write_units_png(path, held.units)
    return held


def _scale(model: nn.Module) -> float:
    """Return how many whole numbers a metre has in a 16-bit PNG of this model."""
    furthest = float(model.depth_range[1])  # type: ignore[index]
    if furthest <= 65.0:
        return 1000.0
    # A model that knows no end gets the step of outdoor depth; what lies beyond is counted.
    return 256.0 if furthest <= 255.0 or not math.isfinite(furthest) else 65000.0 / furthest
