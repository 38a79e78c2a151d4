"""Run a model over pictures and have what it says written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from kdcli.colour import MAPS, check_limits
from kdcli.errors import ConfigError, DataError, nearest
from kdcli.files import require_writable
from kdcli.networks.read_out import read_out_of
from kdcli.networks.shown_size import Asked
from kdcli.predict.inputs import find_inputs, frames
from kdcli.predict.looking import look
from kdcli.predict.pointing import Points
from kdcli.predict.writing import Format, Predicted, whole, write
from kdcli.types import DepthKind


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
    size: Asked | None = "own",
    focal: float | None = None,
    format: Format = "png16",
    cmap: str | None = "spectral",
    limits: tuple[float, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
    uncertainty: bool = False,
    points: Points | None = None,
    wrote: Callable[[Predicted], None] | None = None,
) -> tuple[list[Predicted], list[Skipped]]:
    """Predict depth for images, folders and videos; every picture gets raw depth, a colour map and a JSON sidecar.

    An input that cannot be read, or of which the prediction holds no number, is skipped and reported; nothing is
    written for it.

    Args:
        model: a depth model on ``device``.
        inputs: files and folders; what is below a folder keeps its place below ``out``.
        out: folder to write to, made when the first picture is done.
        size: height and width that the model sees; ``own``: what it was made for; ``native`` or None: the picture's
            own. Depth is written at the picture's.
        focal: focal length of the pictures in their own pixels, for a model whose depth depends on it.
        format: raw depth as 16-bit PNG (metric: whole millimetres where the range fits), float32 NPY, or both.
        cmap: colour map, None for no colour picture.
        limits: of the colours, in the unit of the prediction; per picture when None, per clip for videos.
        progress: told how many inputs are done, of how many.
        uncertainty: also write how sure the model is, standard deviation and entropy, in the same formats.
        points: also write clouds of points.
        wrote: told of each picture whose files are all there.

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
    if points is not None:
        points.check(model, items)
    require_writable(out / f"{items[0].name}.json")
    done: list[Predicted] = []
    skipped: list[Skipped] = []
    # Colours of a video must not flicker: the first frame sets them.
    clips: dict[str, dict[str, tuple[float, float] | None]] = {}
    for number, item in enumerate(items):
        try:
            for frame in frames(item):
                said = look(model, frame.image, device, size, focal, uncertainty)
                shared = dict(clips.get(frame.clip, {}) if frame.clip else {})
                shared["depth"] = limits or shared.get("depth")
                try:
                    with whole(out / frame.name):
                        cloud = None if points is None else points.write(model, frame, said, focal)
                        done.append(write(model, frame, said, out, format, cmap, shared, cloud))
                except DataError as error:  # of this frame; the next may be well
                    skipped.append(Skipped(input=item.path, reason=f"'{frame.name}': {error}"))
                    continue
                if wrote is not None:
                    wrote(done[-1])
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
