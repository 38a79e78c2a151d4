"""``kdcli explain``: what a model with a distribution over depth believes at single pixels."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdcli.cli import kept
from kdcli.cli.ui import Session, command
from kdcli.errors import ConfigError, DataError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcli.images import Picture
    from kdcli.predict.beliefs import Beliefs
    from kdcli.predict.readings import Readings


class Map(StrEnum):
    """How a teacher's depth becomes a distribution."""

    gaussian = "gaussian"
    released = "released"


Model = Annotated[str, typer.Argument(help="Run folder, .safetensors student, hf:ORG/NAME or teacher:SPEC.")]
Image = Annotated[Path, typer.Argument(help="The picture.")]
Out = Annotated[Path, typer.Option("--out", help="Figure to write: .png, .pdf or .svg.", dir_okay=False)]
Pixels = Annotated[list[str] | None, typer.Option(
    "--pixel", help="X,Y from the top left; may be repeated. Without it four are chosen.",
)]
Teacher = Annotated[str | None, typer.Option(
    "--teacher", help="Teacher to compare with, or none; a run's own when not given.",
)]
Sigma = Annotated[float | None, typer.Option(
    "--sigma", help="Spread of the teacher's map: metres, a share of the depth for log bins; else a bin's width.",
)]
Dpm = Annotated[Map, typer.Option("--dpm", help="The teacher's map: a normalised Gaussian, or as TIE-KD's code.")]
Truth = Annotated[Path | None, typer.Option("--truth", help="Ground truth of the picture, as depth files are read.")]
TruthScale = Annotated[float | None, typer.Option(
    "--truth-scale", help="Stored units per metre of --truth; else 1000 for whole numbers, 1 for floats.", min=1e-9,
)]
Size = Annotated[str | None, typer.Option(
    "--size", help="HxW that the networks see, or native; else what each was made for.",
)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(
        app, "explain", seed=False, example="kdcli explain runs/small photo.png --pixel 320,240 --out beliefs.png",
    )(explain)


def explain(
    session: Session, model: Model, image: Image, out: Out, pixel: Pixels = None, teacher: Teacher = None,
    sigma: Sigma = None, dpm: Dpm = Map.gaussian, truth: Truth = None, truth_scale: TruthScale = None,
    size: Size = None,
) -> None:  # fmt: skip
    """Draw what a student says at pixels, beside its teacher.

    A student with depth bins shows what it believes: its distribution, beside the teacher's depth probability map.
    """
    from kdcli.cli.drawn import require_figure
    from kdcli.images import read_picture
    from kdcli.models import load_model
    from kdcli.networks.shown_size import parse_shown, remark
    from kdcli.predict.beliefs import Beliefs, NoDistribution, examine
    from kdcli.predict.readings import read
    from kdcli.report import beliefs, readings

    places, chosen = [_place(text) for text in pixel or ()], parse_shown(size)
    if truth is None and truth_scale is not None:
        raise ConfigError(f"--truth-scale {truth_scale:g} is of --truth FILE; give that too, or leave it out")
    beliefs.require()
    require_figure("--out", out)
    session.keeps(kept.files(out))
    shown = read_picture(image)
    picture = shown.image
    known = None if truth is None else _truth(truth, truth_scale, shown)
    network = load_model(model, session.device)
    name, network_of_teacher = _teacher(session, network, teacher)
    found: Beliefs | Readings
    try:
        found = examine(
            network, picture, pixels=places, teacher=network_of_teacher, truth=known, sigma=sigma, dpm=dpm.value,
            size=chosen, device=session.device, name=model,
        )
        beliefs.draw(out, found, student=_called(model), teacher=name)
    except NoDistribution:
        if sigma is not None or dpm is not Map.gaussian:
            raise
        found = read(
            network, picture, pixels=places, teacher=network_of_teacher, truth=known, size=chosen,
            device=session.device,
        )
        name = name if found.teacher_depth is not None else None
        session.note(f"'{model}' has no depth bins: it says depth alone, and not how sure it is")
        readings.draw(out, found, student=_called(model), teacher=name)
    document = {"model": model, "image": image, "figure": out, "teacher": name, **found.document()}

    def human() -> None:
        if isinstance(found, Beliefs):
            _show(session, found)
        else:
            _show_depth(session, found)

    session.result(document, human)
    if said := remark(network, chosen, [((int(picture.shape[-2]), int(picture.shape[-1])), found.seen)]):
        session.note(said.format(f"'{model}'"))
    session.note(f"wrote {out}")


def _place(text: str) -> tuple[int, int]:
    try:
        x, y = (int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"pixel '{text}' is not X,Y; write for example --pixel 320,240") from None
    return x, y


def _called(model: str) -> str:
    """Return what a model is called in the figure: a run by its folder, also where its student's file is given."""
    path = Path(model)
    if model.startswith("teacher:"):
        return model
    return path.absolute().parent.name if path.name == "student.safetensors" else path.stem or model


def _truth(path: Path, scale: float | None, shown: Picture) -> Tensor:
    from kdcli.images import like, read_stored

    size = (int(shown.image.shape[-2]), int(shown.image.shape[-1]))
    stored = read_stored(path)
    depth, valid = stored.metres(scale)
    if stored.turned == 1:  # as in a source: it lies like the pixels of the photograph's file
        depth, valid = (like(one, shown.turned, size) for one in (depth, valid))
    if tuple(depth.shape[-2:]) != size:
        shapes = ["x".join(map(str, one)) for one in (depth.shape[-2:], size)]
        raise DataError(f"'{path}' has {shapes[0]} pixels, the picture {shapes[1]}; give ground truth of its size")
    return depth.where(valid, depth.new_full((), float("nan")))[0]


def _teacher(session: Session, network: nn.Module, asked: str | None) -> tuple[str | None, nn.Module | None]:
    """Return the teacher asked for, else the first of the student's own that can be had and answers from an image."""
    from kdcli.evals.reference import answers_from_data
    from kdcli.models import load_model

    if asked is not None:
        if asked == "none":
            return None, None
        spec = asked.removeprefix("teacher:")
        teacher = load_model(f"teacher:{spec}", session.device)
        if answers_from_data(teacher):
            raise ConfigError(f"teacher '{spec}' knows nothing of a photograph alone; give its depth by --truth FILE")
        return spec, teacher
    card = getattr(network, "card", None) or {}
    kind = str(network.depth_kind)
    for spec in (str(one["spec"]) for one in card.get("teachers") or () if one.get("depth_kind") == kind):
        try:
            teacher = load_model(f"teacher:{spec}", session.device)
        except (WeightsError, ConfigError) as error:
            session.note(f"without its teacher '{spec}': {error}")
            continue
        if answers_from_data(teacher):
            session.note(f"without its teacher '{spec}', which knows nothing of a photograph alone; --truth FILE shows "
                         "measured depth")
            continue
        return spec, teacher
    return None, None


def _show_depth(session: Session, found: Readings) -> None:
    unit = f" ({found.kind.unit})" if found.kind.unit else ""
    rows = [
        [f"{one['x']},{one['y']}", one["chosen"], *("" if one[key] is None else f"{one[key]:.3f}" for key in _DEPTHS)]
        for one in found.document()["pixels"]
    ]
    session.table(["pixel", "chosen", *(f"{key}{unit}" for key in _DEPTHS)], rows)


_DEPTHS = ("depth", "teacher", "truth")


def _show(session: Session, found: Beliefs) -> None:
    from kdcli.predict.beliefs import SHARE

    columns = ["pixel", "chosen", "depth (m)", "std (m)", f"central {SHARE:.0%} (m)", "entropy", "mode (m)",
               "teacher (m)", "divergence", "truth (m)"]
    rows = []
    for one in found.document()["pixels"]:
        low, high = one["interval"]
        rows.append([
            f"{one['x']},{one['y']}", one["chosen"], f"{one['depth']:.3f}", f"{one['std']:.3f}",
            f"{low:.3f} to {high:.3f}", f"{one['entropy_share']:.3f}", f"{one['mode']:.3f}",
            *("" if one[key] is None else f"{one[key]:.3f}" for key in ("teacher", "divergence", "truth")),
        ])
    session.table(columns, rows)
