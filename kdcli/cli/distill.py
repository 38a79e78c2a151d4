"""``kdcli distill``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdcli.cli import complete, kept
from kdcli.cli.ui import Session, command, require_alone

if TYPE_CHECKING:
    from kdcli.choosing import Built, Choice
    from kdcli.choosing.chosen import Found, TryOut
    from kdcli.config import RunConfig

Recipe = Annotated[
    str,
    typer.Option(
        help="Recipe: a name of 'kdcli recipes list', a TOML file, or auto: chosen by what you give.",
        autocompletion=complete.recipe,
    ),
]
Teachers = Annotated[
    list[str] | None,
    typer.Option("--teacher", help="Teacher SPEC, or NAME=SPEC; repeat for several.", autocompletion=complete.teacher),
]
Student = Annotated[str | None, typer.Option(help="Student SPEC.", autocompletion=complete.student)]
Pretrained = Annotated[str | None, typer.Option(
    help="Begin the student's encoder with ImageNet weights: true, false, or auto: where they can be had."
)]
Data = Annotated[str | None, typer.Option(help="Source SPEC of the training images.", autocompletion=complete.source)]
Losses = Annotated[
    list[str] | None,
    typer.Option(
        "--loss", help="NAME=WEIGHT, NAME:TERM=WEIGHT for one of its terms; repeat for several. Replaces the recipe's."
    ),
]
Mixers = Annotated[
    list[str] | None,
    typer.Option(
        "--mixer", help="Mixer SPEC; repeat for several. Replaces the recipe's.", autocompletion=complete.mixer
    ),
]
Transform = Annotated[
    str | None, typer.Option(
        help="File written by fit-transform, joint (learned with the student), or none. Replaces what the recipe fits."
    )
]
Steps = Annotated[int | None, typer.Option(help="Updates of the main stage.", min=1)]
Epochs = Annotated[int | None, typer.Option(help="Rounds over the images in the main stage, instead of steps.", min=1)]


def _images(text: str) -> int | str:
    if text != "auto" and not (text.isascii() and text.isdigit() and int(text[:19])):
        raise typer.BadParameter(f"{text[:40]!r} is neither a whole number from 1 on nor auto.")
    return text if text == "auto" else int(text)


BatchSize = Annotated[Any, typer.Option(
    help="Images in a batch; auto: the largest that fits into the memory of the device.", parser=_images,
    metavar="N|auto",
)]
Size = Annotated[str | None, typer.Option(
    help="HxW of the images in training and evaluation; other sizes of the recipe follow. auto: the teacher's."
)]
Rate = Annotated[float | None, typer.Option("--lr", help="Learning rate of the main stage.")]
Stage = Annotated[str | None, typer.Option(
    help="qat: the last fifth of the main stage is quantisation-aware, for students that int8 files cost too much."
)]
Compile = Annotated[bool, typer.Option(
    "--compile", help="Let PyTorch's compiler run student, losses and teachers: quicker steps, after minutes."
)]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE or STAGE.KEY=VALUE of the recipe; repeat for several.")
]
Twin = Annotated[
    bool, typer.Option("--twin/--no-twin", help="Also train the run without the method, to measure the gain.")
]
EvalData = Annotated[
    str | None, typer.Option(help="Source SPEC to evaluate on; none to leave it out.", autocompletion=complete.source)
]
Protocol = Annotated[str | None, typer.Option(help="Evaluation protocol.")]
Align = Annotated[str | None, typer.Option(help="Alignment in the evaluation: none, median or scale-shift.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder to make; default: runs/DATE_RECIPE-STUDENT.")]
Resume = Annotated[Path | None, typer.Option(help="Run folder to go on with, from its last checkpoint.")]
Workers = Annotated[int | None, typer.Option(help="Processes that decode files.", min=0)]
Loggers = Annotated[list[str] | None, typer.Option(
    "--logger", help="Logger SPEC, told of each logged step; repeat for several. none: nobody. Else tensorboard, "
    "where that is installed.", autocompletion=complete.logger,
)]
DiskCheck = Annotated[bool, typer.Option(
    "--disk-check/--no-disk-check", help="Refuse a run whose files do not fit on the disk."
)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the resolved recipe, do one real step, write nothing.")]

_OPTIONS = {"teachers": "teacher", "losses": "loss", "mixers": "mixer", "quantised": "stage"}
"""Keys of the configuration whose option is called otherwise."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "distill", many=True, seed="recipe", example=(
        "kdcli distill",
        "kdcli distill --teacher adabins --student mobilenet --data folder:photos --out runs/photos",
        "kdcli distill --teacher adabins --data folder:photos --set distill.lr=1e-4 --dry-run",
        "kdcli distill --resume runs/photos",
    ))(distill)


def distill(
    session: Session,
    recipe: Recipe = "auto",
    teacher: Teachers = None,
    student: Student = None,
    pretrained: Pretrained = None,
    data: Data = None,
    loss: Losses = None,
    mixer: Mixers = None,
    transform: Transform = None,
    steps: Steps = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    size: Size = None,
    lr: Rate = None,
    stage: Stage = None,
    compile_: Compile = False,
    set_: Set = None,
    twin: Twin = True,
    eval_data: EvalData = None,
    protocol: Protocol = None,
    align: Align = None,
    out: Out = None,
    resume: Resume = None,
    workers: Workers = None,
    logger: Loggers = None,
    disk_check: DiskCheck = True,
    dry_run: DryRun = False,
) -> None:
    """Distil a teacher into a student, measure it beside teacher and twin, and export it.

    What you do not say follows from the teacher and the images that you name. With no option: the bundled demo teacher,
    without its images, on a machine without network or GPU.
    """
    from kdcli.choosing import choose
    from kdcli.config import loss_weights, stage_share
    from kdcli.errors import ConfigError
    from kdcli.spec import parse_size

    flags: dict[str, Any] = {
        "teachers": tuple(teacher) if teacher else None,
        "student": student,
        "pretrained": pretrained,
        "data": data,
        "losses": loss_weights(loss),
        "mixers": tuple(mixer) if mixer else None,
        "transform": transform,
        "steps": steps,
        "epochs": epochs,
        "batch_size": batch_size,
        "size": parse_size(size) if size and size != "auto" else size,
        "lr": lr,
        "quantised": stage_share(stage),
        "compile": "default" if compile_ else None,
        "teacher_engine": "compile" if compile_ else None,
        "eval_data": eval_data,
        "protocol": protocol,
        "align": align,
        "workers": workers,
        "loggers": tuple(logger) if logger else None,
        "seed": session.seed_given,
    }
    if resume is not None:
        loggers = flags.pop("loggers")  # whoever is told, the run is the same
        given = [_OPTIONS.get(key, key.replace("_", "-")) for key, value in flags.items() if value is not None]
        others = {"set": set_, "out": out, "dry-run": dry_run, "no-twin": not twin, "recipe": recipe != "auto"}
        if given := [*given, *(name for name, told in others.items() if told)]:
            raise ConfigError(
                f"--resume '{resume}' goes on with that run's own recipe, so --{given[0]} cannot be given beside it; "
                f"start another run with --recipe '{resume}/config.toml'"
            )
        _run(session, None, None, resume, disk_check, loggers)
        return
    choice = choose(recipe, flags, set_ or (), twin=twin, try_out=_trying_out(session))
    if dry_run:
        from kdcli.cli.show import dry_run as show

        require_alone("distill --dry-run")
        show(session, choice)
        return
    _run(session, choice, out, None, disk_check)


def _trying_out(session: Session) -> TryOut:
    """Return what looks for the largest batch, and imports what it needs when it is asked."""

    def find(config: RunConfig, built: Built, stage: str) -> Found:
        from kdcli.training.run.largest import largest_batch

        return largest_batch(session.device, session.note)(config, built, stage)

    return find


def _run(
    session: Session, choice: Choice | None, out: Path | None, resume: Path | None, disk_check: bool,
    loggers: Any = None,
) -> None:
    from kdcli.cli.show import TrainingProgress, run_table
    from kdcli.config import RunConfig
    from kdcli.config.values import convert
    from kdcli.devices import keep_freed_memory
    from kdcli.many.group import begun_again, joined, own_device
    from kdcli.training.run.following import writes
    from kdcli.training.run.job import distill, resumable

    device = own_device(session.device)
    if choice is not None and out is not None and begun_again() and (out / "manifest.json").is_file():
        choice, out, resume = None, None, out  # what they began before one of them was lost
    if device.type == "cpu":
        keep_freed_memory()
    if choice is None:
        assert resume is not None
        config, built = resumable(resume), None
        loggers = None if loggers is None else convert("loggers", loggers, RunConfig, "--logger")
    else:
        config, built = choice.config, choice.built
    if resume is not None:
        session.keeps(lambda: f"'{resume}' is as it was; {kept.GOES_ON}")
    with joined(device) as group, TrainingProgress(session) as progress:
        try:
            result = distill(
                config, out=out, resume=resume, device=device, progress=progress if writes(group) else None,
                built=built, loggers=loggers, group=group, disk_check=disk_check,
            )
        except KeyboardInterrupt as stopped:
            if getattr(stopped, "__notes__", ()):  # the run has said what it keeps
                session.keeps(str)
            raise
    session.keeps(lambda: f"'{result.run}' is finished")
    if writes(group):
        session.result(result.document(), lambda: run_table(session, result.document(), config))
