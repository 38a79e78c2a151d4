"""Run a model over pictures and write what it says: raw numbers, a picture with a legend, and what the numbers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli import __version__
from kdcli.colour import MAPS, check_limits, colourise, legend, limits_of, with_legend
from kdcli.errors import ConfigError, DataError, nearest
from kdcli.files import require_writable, write_json
from kdcli.images import write_depth_npy, write_depth_png, write_image
from kdcli.networks.read_out import own_map, own_spread, read_out_of, resize_map, resize_spread
from kdcli.predict.inputs import Frame, find_inputs, frames
from kdcli.predict.uncertain import ENDINGS, UncertaintyMap, write_map
from kdcli.types import DepthKind, Prediction, ReadOut
from kdcli.uncertainty import WHO, Spread, both_views

Format = Literal["png16", "npy", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What was written for one picture; files are None where not asked for. ``value = stored * step + offset``."""

    input: Path
    name: str
    depth_kind: str
    unit: str
    size: tuple[int, int]
    minimum: float
    maximum: float
    png: Path | None = None
    step: float | None = None
    offset: float | None = None
    npy: Path | None = None
    colour: Path | None = None
    limits: tuple[float, float] | None = None
    uncertainty: Mapping[str, UncertaintyMap] | None = None
    """Maps by name, where they were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An input that could not be read, and why."""

    input: Path
    reason: str


def predict(
    model: nn.Module,
    inputs: Sequence[Path],
    out: Path,
    *,
    device: torch.device | str = "cpu",
    size: tuple[int, int] | None = None,
    focal: float | None = None,
    format: Format = "png16",
    cmap: str | None = "spectral",
    limits: tuple[float, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
    uncertainty: bool = False,
) -> tuple[list[Predicted], list[Skipped]]:
    """Predict depth for images, folders and videos; every picture gets raw depth, a colour map and a JSON sidecar.

    An input that cannot be read is skipped and reported; nothing is written for it.

    Args:
        model: a depth model on ``device``.
        inputs: files and folders; what is below a folder keeps its place below ``out``.
        out: folder to write to, made when the first picture is done.
        size: height and width that the model sees; the picture's own when None. Depth is written at the picture's.
        focal: focal length of the pictures in their own pixels, for a model whose depth depends on it.
        format: raw depth as 16-bit PNG (metric: whole millimetres where the range fits), float32 NPY, or both.
        cmap: colour map, None for no colour picture.
        limits: of the colours, in the unit of the prediction; per picture when None, per clip for videos.
        progress: told how many inputs are done, of how many.
        uncertainty: also write how sure the model is, standard deviation and entropy, in the same formats.

    Raises:
        DataError: an input does not exist, or none could be read. ConfigError: unknown colour map, limits no range, a
            focal length that the model does not ask for, uncertainty of a model that does not tell.
    """
    if focal is not None and read_out_of(model).focal is None:
        raise ConfigError(
            "the depth of this model does not depend on the focal length, or has one of its own; "
            f"leave out --focal {focal:g}"
        )
    if cmap is not None and cmap not in MAPS:
        raise ConfigError(f"colour map '{cmap}' is unknown.{nearest(cmap, MAPS)} Maps: {', '.join(MAPS)}, none")
    if limits is not None:
        kind = DepthKind(model.depth_kind)  # type: ignore[arg-type]
        check_limits(limits, disparity=kind.is_disparity, linear=kind is DepthKind.AFFINE_DEPTH)
    items = find_inputs(inputs)
    require_writable(out / f"{items[0].name}.json")
    done: list[Predicted] = []
    skipped: list[Skipped] = []
    # Colours of a video must not flicker: the first frame sets them.
    clips: dict[str, dict[str, tuple[float, float] | None]] = {}
    for number, item in enumerate(items):
        try:
            for frame in frames(item):
                said = _look(model, frame.image, device, size, focal, uncertainty)
                shared = dict(clips.get(frame.clip, {}) if frame.clip else {})
                shared["depth"] = limits or shared.get("depth")
                with _whole(out / frame.name):
                    done.append(_write(model, frame, said, out, format, cmap, shared))
                if frame.clip and done[-1].limits:
                    maps = done[-1].uncertainty or {}
                    own = {name: one.limits for name, one in maps.items()} | {"depth": done[-1].limits}
                    clips.setdefault(frame.clip, own)
        except DataError as error:
            skipped.append(Skipped(input=item.path, reason=str(error)))
        if progress is not None:
            progress(number + 1, len(items))
    if not done:
        more = f" (and {len(skipped) - 1} more that cannot be read)" if len(skipped) > 1 else ""
        raise DataError(f"{skipped[0].reason}{more}")
    return done, skipped


@torch.inference_mode()
def _look(
    model: nn.Module, image: Tensor, device: torch.device | str, size: tuple[int, int] | None, focal: float | None,
    uncertainty: bool,
) -> _Said:
    """Return what the model says of a picture, at its size, in the model's own output space.

    The model's ``read_out`` is followed: focal length, clip, resize, mirror average.
    """
    picture_B3HW = image[None].to(device)
    own = (int(image.shape[-2]), int(image.shape[-1]))
    if size is not None and size != own:
        picture_B3HW = functional.interpolate(
            picture_B3HW, size=size, mode="bilinear", align_corners=False, antialias=True
        ).clamp(0, 1)
    read = read_out_of(model)
    # The network sees a smaller picture through a shorter lens.
    seen = None if focal is None else torch.tensor([focal * picture_B3HW.shape[-1] / own[1]], device=device)
    prediction = model(picture_B3HW)
    spread = _spread(prediction, read, seen, own) if uncertainty else None
    depth = resize_map(own_map(prediction, read, seen), own, read.resize)
    valid = None if prediction.valid is None else _at_size(prediction.valid, own)
    if read.flip:
        mirrored = model(picture_B3HW.flip(-1))
        other = resize_map(own_map(mirrored, read, seen), own, read.resize).flip(-1)
        if spread is not None:
            back = _spread(mirrored, read, seen, own).map(lambda one: one.flip(-1))
            spread = both_views(spread, back, depth, other)
        depth = (depth + other) / 2
        if valid is not None and mirrored.valid is not None:
            valid &= _at_size(mirrored.valid, own).flip(-1)
    known = torch.isfinite(depth) if valid is None else torch.isfinite(depth) & valid
    maps = {} if spread is None else {"std": spread.std, "entropy": spread.entropy}
    return _Said(
        depth=depth[0, 0].cpu(), valid=known[0, 0].cpu(),
        maps={name: one[0, 0].cpu() for name, one in maps.items() if one is not None},
    )


def _spread(prediction: Prediction, read: ReadOut, focal: Tensor | None, size: tuple[int, int]) -> Spread:
    found = own_spread(prediction, read, focal)
    if found is None:
        raise ConfigError(f"this model gives no distribution over depth; {WHO}, or leave out --uncertainty")
    return resize_spread(found, size, read.resize)


def _at_size(valid_B1HW: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(valid_B1HW.float(), size=size, mode="nearest") > 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """Depth and validity, H x W on the CPU, and maps of uncertainty by name."""

    depth: Tensor
    valid: Tensor
    maps: Mapping[str, Tensor]


@contextmanager
def _whole(base: Path) -> Iterator[None]:
    """Leave all files of a picture or none, whatever stops the writing."""
    endings = (".depth.png", ".depth.npy", ".colour.png", ".json", *ENDINGS)
    files = [base.with_name(base.name + end) for end in endings]
    before = {path for path in files if path.exists()}
    try:
        yield
    except BaseException:
        for path in files:
            if path not in before:
                path.unlink(missing_ok=True)
        raise


def _write(
    model: nn.Module, frame: Frame, said: _Said, out: Path, format: Format, cmap: str | None,
    limits: Mapping[str, tuple[float, float] | None],
) -> Predicted:
    depth_HW, valid_HW = said.depth, said.valid
    kind = DepthKind(model.depth_kind)  # type: ignore[arg-type]
    values = depth_HW[valid_HW]
    facts: dict[str, Any] = {
        "input": frame.path, "name": frame.name, "depth_kind": str(kind), "unit": kind.unit,
        "size": (depth_HW.shape[0], depth_HW.shape[1]),
        "minimum": float(values.min()) if values.numel() else 0.0,
        "maximum": float(values.max()) if values.numel() else 0.0,
    }
    # Not Path.with_suffix: names may hold dots of their own.
    base = out / frame.name
    if format in ("png16", "both"):
        facts["png"] = base.with_name(f"{base.name}.depth.png")
        facts["step"], facts["offset"] = _write_png(facts["png"], model, kind, depth_HW, valid_HW)
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
            name: write_map(base, name, one, valid_HW & torch.isfinite(one), unit=kind.unit, png=format != "npy",
                            npy=format != "png16", coloured=cmap is not None, step=step, limits=limits.get(name))
            for name, one in said.maps.items()
        }  # fmt: skip
    result = Predicted(**facts)
    document = asdict(result) | {key: value.name for key in ("png", "npy", "colour") if (value := facts.get(key))}
    del document["uncertainty"]
    if result.uncertainty is not None:
        document["uncertainty"] = {name: one.sidecar() for name, one in result.uncertainty.items()}
    write_json(base.with_name(f"{base.name}.json"), document | {"kdcli": __version__, "colour_map": cmap})
    return result


def _write_png(
    path: Path, model: nn.Module, kind: DepthKind, depth_HW: Tensor, valid_HW: Tensor
) -> tuple[float, float]:
    """Write 16 bits and return (step, offset) with value = stored * step + offset; 0 is not valid.

    Metric depth: millimetres where the model's range fits, else 1/256 m as KITTI does; the same for every picture of a
    model. Other kinds have no unit, so each picture's own range is spread over the 16 bits.
    """
    if kind is DepthKind.METRIC:
        scale = _scale(model)
        write_depth_png(path, depth_HW.clamp(max=65534 / scale), scale=scale, valid=valid_HW)
        return 1.0 / scale, 0.0
    values = depth_HW[valid_HW].double()
    low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 1.0)
    step = max(high - low, 1e-9) / 65533
    write_depth_png(path, (depth_HW.double() - low) / step + 1.0, scale=1.0, valid=valid_HW)
    return step, low - step


def _scale(model: nn.Module) -> float:
    """Return how many whole numbers a metre has in a 16-bit PNG of this model."""
    furthest = float(model.depth_range[1])  # type: ignore[index]
    return 1000.0 if furthest <= 65.0 else 256.0 if furthest <= 255.0 else 65000.0 / furthest
