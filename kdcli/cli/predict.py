"""``kdcli predict``: raw depth and colour maps of images, folders and videos; point clouds; films of depth."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdcli.cli import kept
from kdcli.cli.ui import Session, command
from kdcli.errors import ConfigError, DataError
from kdcli.text import counted

if TYPE_CHECKING:
    from kdcli.predict import Points, Predicted


class Raw(StrEnum):
    """Formats of raw depth."""

    png16 = "png16"
    npy = "npy"
    both = "both"


class Hold(StrEnum):
    """How the range of a film's colours is held."""

    clip = "clip"
    running = "running"


Model = Annotated[str, typer.Argument(
    help="Run folder, .safetensors student, hf:ORG/NAME, exported file, or teacher:SPEC.",
)]
Inputs = Annotated[list[Path], typer.Argument(help="Images, folders, films, camera:0.")]
Out = Annotated[Path, typer.Option(
    "--out", metavar="DIR", help="Folder to write to, or a film: .mp4, .mkv, .mov, .webm.",
)]
Size = Annotated[str | None, typer.Option(
    "--size", help="HxW that the model sees, or native; else what it was made for.",
)]
Focal = Annotated[float | None, typer.Option(
    "--focal", help="Focal length of the pictures in their own pixels, for models whose depth depends on it.", min=1.0,
)]
Format = Annotated[Raw | None, typer.Option(
    "--format", help="Raw depth: 16-bit PNG (so by default), float32 NPY, or both.",
)]
Cmap = Annotated[str, typer.Option("--cmap", help="spectral, magma, inferno, turbo, gray, or none.")]
Limits = Annotated[str | None, typer.Option("--limits", help="LO,HI of the colours, in the unit of the depth.")]

Uncertain = Annotated[bool, typer.Option(
    "--uncertainty", help="Also write how sure a model with depth bins is: standard deviation and entropy.",
)]
PointsOut = Annotated[str | None, typer.Option(
    "--points", metavar="FILE", help="Also write a coloured point cloud, .ply or .glb; {name} in it for several.",
)]
Intrinsics = Annotated[str | None, typer.Option(
    "--intrinsics", metavar="FX,FY,CX,CY", help="Camera of the cloud, in pixels of the upright picture.",
)]
Fov = Annotated[float | None, typer.Option(
    "--fov", metavar="DEGREES", help="Field of view from left to right instead; else what the photograph says.",
)]
Edge = Annotated[float | None, typer.Option(
    "--edge", metavar="DEGREES",
    help="Drop points where a surface lies this near to the line of sight, as at blurred edges; 3; 0 keeps all.",
)]

SideBySide = Annotated[bool, typer.Option(
    "--side-by-side", help="Of a film: the picture beside the depth, with names and a legend.",
)]
Beside = Annotated[list[str] | None, typer.Option(
    "--beside", metavar="MODEL", help="Of a film: a further model between picture and MODEL, such as its teacher.",
)]
HoldRange = Annotated[Hold | None, typer.Option(
    "--hold",
    help="Of a film: range of the colours; clip (by default): one that a first pass finds; running: one that follows.",
)]
Frames = Annotated[int | None, typer.Option("--frames", help="Of a film: end after so many frames.", min=1)]


_NAMED = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "predict", seed=False, example="kdcli predict runs/small photos --out depth")(predict)


def predict(
    session: Session, model: Model, inputs: Inputs, out: Out, size: Size = None, focal: Focal = None,
    format: Format = None, cmap: Cmap = "spectral", limits: Limits = None, uncertainty: Uncertain = False,
    points: PointsOut = None, intrinsics: Intrinsics = None, fov: Fov = None, edge: Edge = None,
    side_by_side: SideBySide = False, beside: Beside = None, hold: HoldRange = None, frames: Frames = None,
) -> None:
    """Predict depth: raw numbers with their meaning in a JSON sidecar, and a colour map with a legend."""
    from dataclasses import asdict

    from kdcli.cli import predict_film
    from kdcli.images import DEPTH_SUFFIXES, IMAGE_SUFFIXES
    from kdcli.models import load_model
    from kdcli.networks.shown_size import parse_shown, remark
    from kdcli.predict import find_inputs
    from kdcli.predict import predict as run
    from kdcli.predict.film_file import is_film
    from kdcli.predict.videos import VIDEO_SUFFIXES

    chosen, ends = parse_shown(size), _limits(limits)
    if is_film(out):
        predict_film.refuse(
            {"--format": format, "--uncertainty": uncertainty, "--points": points, "--intrinsics": intrinsics,
             "--fov": fov, "--edge": edge},
            f"is of pictures, and --out {out} is a film; give --out a folder",
        )
        predict_film.film(
            session, model, inputs, out, size=chosen, focal=focal, cmap=cmap, limits=ends, hold=hold,
            beside=beside or [], side_by_side=side_by_side, most=frames,
        )
        return
    predict_film.refuse(
        {"--side-by-side": side_by_side, "--beside": beside or None, "--hold": hold, "--frames": frames},
        f"is of a film, and --out {out} is a folder; write for example --out depth.mp4",
    )
    if out.is_file() or (out.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES | DEPTH_SUFFIXES and not out.exists()):
        raise ConfigError(f"--out '{out}' is no folder; give one, or a film that ends in .mp4, .mkv, .mov or .webm")
    clouds = _points(points, intrinsics, fov, edge)
    find_inputs(inputs)  # a wrong path is answered before the model is loaded
    network = load_model(model, session.device)
    whole: list[Predicted] = []
    session.keeps(lambda: f"pictures whole in {out}: {len(whole)}; {kept.ANEW}" if whole else kept.NOTHING)
    with session.progress() as bar:
        task = bar.add_task("predict", total=None, note="")
        done, skipped = run(
            network, inputs, out, device=session.device, size=chosen, focal=focal, limits=ends,
            format=(format or Raw.png16).value, cmap=None if cmap == "none" else cmap,
            progress=lambda k, n: bar.update(task, completed=k, total=n), uncertainty=uncertainty, points=clouds,
            wrote=whole.append,
        )
    told = {"predicted": [asdict(one) for one in done], "skipped": [asdict(one) for one in skipped]}
    kind = f"{done[0].depth_kind} depth" + (f" in {done[0].unit}" if done[0].unit else "")
    session.result({"model": model, "out": out, **told}, f"{out}: {counted(len(done), 'picture')}, {kind}")
    _tell_points(session, [one.points for one in done if one.points is not None])
    if said := remark(network, chosen, [(one.size, one.seen) for one in done]):
        session.note(said.format(f"'{model}'"))
    told_less = [(one.name, losses) for one in done if (losses := one.all_losses)]
    for name, losses in told_less[:_NAMED]:
        session.note(f"warning: '{name}': {losses}")
    if len(told_less) > _NAMED:
        session.note(f"warning: {len(told_less) - _NAMED} more pictures hold less than predicted; their JSON says what")
    if skipped:
        more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        raise DataError(f"{len(skipped)} of {len(skipped) + len(done)} inputs were skipped: {skipped[0].reason}{more}")


def _points(path: str | None, intrinsics: str | None, fov: float | None, edge: float | None) -> Points | None:
    from kdcli.predict import EDGE, Points

    if path is None:
        given = {"--intrinsics": intrinsics, "--fov": fov, "--edge": edge}
        if alone := next((name for name, value in given.items() if value is not None), None):
            raise ConfigError(f"{alone} is of a point cloud; add --points cloud.glb, or leave it out")
        return None
    camera = None
    if intrinsics is not None:
        try:
            fx, fy, cx, cy = (float(part) for part in intrinsics.split(","))
        except ValueError:
            raise ConfigError(f"intrinsics '{intrinsics}' are not fx,fy,cx,cy; write for example "
                              "--intrinsics 721.5,721.5,609.6,172.9") from None
        camera = (fx, fy, cx, cy)
    return Points(path=path, intrinsics=camera, fov=fov, edge=EDGE if edge is None else edge)


def _tell_points(session: Session, clouds: list[Mapping[str, Any]]) -> None:
    for one in clouds[:_NAMED]:
        unknown = "" if one["unit"] else "; its scale is not known, so it is not in metres"
        session.note(
            f"{one['file']}: {counted(one['count'], 'point')}, lens from {one['camera_from']}, left out: "
            f"{one['edges']:,} at edges, {one['holes']:,} without depth{unknown}"
        )
    if len(clouds) > _NAMED:
        session.note(f"and {len(clouds) - _NAMED} more point clouds")


def _limits(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"limits '{text}' are not LO,HI; write for example --limits 0.5,10") from None
    return low, high
