"""``kdcli fit-transform``: fit a transformation network to a teacher's feature statistics, or record these."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kdcli.cli import kept
from kdcli.cli.ui import Session, command
from kdcli.errors import ConfigError
from kdcli.text import counted

_Teacher = Annotated[str, typer.Option("--teacher", help="Whose statistics are to be met.", metavar="SPEC")]
_Data = Annotated[str | None, typer.Option(
    "--data", metavar="SPEC", help="The images to transform; else simulated ones that suit the teacher.",
)]
_Out = Annotated[Path | None, typer.Option("--out", help="File to write.", metavar="FILE.safetensors")]
_Record = Annotated[Path | None, typer.Option(
    "--record", metavar="FILE.safetensors", help="Fit nothing: record the teacher's feature statistics on the images, "
    "once over all of them, for somebody who cannot have the images.",
)]
_Statistics = Annotated[Path | None, typer.Option(
    "--statistics", metavar="FILE.safetensors", help="Recorded statistics to fit to, instead of the batch norms'.",
)]
_Tap = Annotated[list[str] | None, typer.Option(
    "--tap", metavar="NAME", help="Inner feature to record: a name of the teacher's, module:PATH, input:PATH, or "
    "batch-norms for what enters these; repeat for several. Else all that the teacher names.",
)]
_Mixer = Annotated[list[str] | None, typer.Option("--mixer", help="Mix before the transformation.", metavar="SPEC")]
_Steps = Annotated[int | None, typer.Option(
    "--steps", min=1, help="Updates of the network (200); with --record batches to look at (all).", metavar="N",
)]
_Size = Annotated[str | None, typer.Option(
    "--size", metavar="HxW", help="Height and width of the images; else what suits teacher and images.",
)]
_Batch = Annotated[int, typer.Option("--batch-size", min=1, help="Images measured together.", metavar="N")]
_Lr = Annotated[float, typer.Option("--lr", help="Learning rate.")]
_Form = Annotated[Literal["residual", "affine", "both"], typer.Option("--form", help="Kind of network.")]
_Width = Annotated[int, typer.Option("--width", min=1, help="Channels inside the network.", metavar="N")]
_Layers = Annotated[int, typer.Option("--layers", min=0, help="Convolutions inside the network.", metavar="N")]
_Choice = Annotated[list[str] | None, typer.Option(
    "--statistics-layer", metavar="LAYER", help="Layer of the teacher that counts: a name, a pattern with *, first:N, "
    "last:N or a share of all such as first:33%, every:K, or one of them with ! in front to leave it out; repeat for "
    "several. Else all.",
)]
_Weight = Annotated[list[str] | None, typer.Option(
    "--statistics-weight", metavar="LAYER=WEIGHT", help="Weight of a layer, named in the same way; repeat for several.",
)]
_First = Annotated[float, typer.Option(
    "--statistics-first", min=0, help="Further weight of the teacher's layer that runs first.", metavar="WEIGHT",
)]
_Plot = Annotated[Path | None, typer.Option(
    "--plot", metavar="FILE.png", help="Plot of the layers' statistics before and after; OUT-layers.png. Needs "
    "matplotlib.",
)]
_Picture = Annotated[Path | None, typer.Option(
    "--picture", metavar="FILE.png", help="Images before and after, with the teacher's depth; OUT-images.png.",
)]
_Content = Annotated[float, typer.Option("--content", min=0, help="Weight of the term that keeps edges in place.")]
_Norm = Annotated[Literal["l2", "relative"], typer.Option("--norm", help="How layers are compared and weighed.")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "fit-transform", example=(
        "kdcli fit-transform --teacher adabins --data folder:photos --out photos-to-nyu.safetensors",
        "kdcli fit-transform --teacher adabins --data nyu:/data/nyu --record nyu-statistics.safetensors",
    ))
    def fit_transform(
        session: Session, teacher: _Teacher, data: _Data = None, out: _Out = None, record: _Record = None,
        statistics: _Statistics = None, tap: _Tap = None, mixer: _Mixer = None, steps: _Steps = None,
        size: _Size = None, batch_size: _Batch = 16, lr: _Lr = 2e-3, form: _Form = "both", content: _Content = 1.0,
        norm: _Norm = "relative", width: _Width = 32, layers: _Layers = 2, statistics_layer: _Choice = None,
        statistics_weight: _Weight = None, statistics_first: _First = 1.0, plot: _Plot = None, picture: _Picture = None,
    ) -> None:
        """Fit a network that carries images into the statistics that a teacher remembers, or record these."""
        from kdcli.choosing import Built
        from kdcli.choosing.part import images_for
        from kdcli.cli.drawn import require_figure, require_picture
        from kdcli.config import StageConfig, weights_by_name
        from kdcli.spec import parse_size
        from kdcli.training.single import fit_transform as library

        if (out is None) == (record is None):
            raise ConfigError("give either --out FILE, to fit a transformation, or --record FILE, to record statistics")
        if record is not None:
            fitting: dict[str, object] = {
                "--statistics": statistics, "--plot": plot, "--picture": picture,
                "--statistics-layer": next(iter(statistics_layer or ()), None),
                "--statistics-weight": next(iter(statistics_weight or ()), None),
            }
            usual = {
                "--lr": (lr, 2e-3), "--form": (form, "both"), "--content": (content, 1.0), "--width": (width, 32),
                "--norm": (norm, "relative"), "--layers": (layers, 2), "--statistics-first": (statistics_first, 1.0),
            }
            fitting |= {flag: given for flag, (given, default) in usual.items() if given != default}
            for flag, given in fitting.items():
                if given is not None:
                    raise ConfigError(f"{flag} {given} is for fitting; leave it out with --record")
            if data is None:
                raise ConfigError("--record needs the images that the teacher should see; give --data SPEC")
            built = Built()
            data, shown = images_for(teacher, data, parse_size(size) if size else None, built)
            stage = StageConfig(
                name="record", train="transform", data=data, teachers=(teacher,), mixers=tuple(mixer or ()),
                steps=steps, epochs=1 if steps is None else None, batch_size=batch_size, size=shown,
            )
            session.keeps(kept.files(record))
            with session.progress() as display:
                bar = display.add_task("recording", total=None, note="")
                told = library.record_statistics(
                    stage, record, taps=tap, seed=session.seed, device=session.device, built=built,
                    told=lambda what, done, total: display.update(bar, completed=done, total=total),
                )
            session.result(told, f"{record}: {len(told['taps'])} features on {told['images']} images")
            return
        assert out is not None
        if tap:
            raise ConfigError(f"--tap {tap[0]} is for --record; the file of --statistics has its own")
        require_figure("--plot", plot)
        require_picture("--picture", picture)
        steps = 200 if steps is None else steps
        built = Built()
        data, shown = images_for(teacher, data, parse_size(size) if size else None, built)
        stage = StageConfig(
            name="fit-transform", train="transform", data=data, teachers=(teacher,), mixers=tuple(mixer or ()),
            steps=steps, batch_size=batch_size, size=shown, lr=lr, network=form, content=content, norm=norm,
            statistics="none" if statistics is None else str(statistics), network_width=width, network_layers=layers,
            statistics_layers=tuple(statistics_layer or ()), statistics_first=statistics_first,
            statistics_weights=weights_by_name(statistics_weight or (), "--statistics-weight"),
        )
        begun, made = kept.going_on(lambda: library.kept_of(out)), kept.files(out)
        session.keeps(lambda: made() if library.kept_of(out) is None else begun())
        with session.progress() as display:
            bar = display.add_task("fitting", total=steps, note="")
            found = library.fit_transform(
                stage, out, plot=plot, picture=picture, seed=session.seed, device=session.device, built=built,
                told=lambda what, done, total: display.update(bar, completed=done),
            )
        for note in found["notes"]:
            session.note(note)
        change = f"{found['before']:.4g} -> {found['after']:.4g}"
        worse = "" if found["after"] < found["before"] else "; no better: try other images, --lr or --steps"
        drawn = " and ".join(found[key] for key in ("plot", "picture") if found[key] is not None)
        session.result(found, f"{out}: statistics loss {change} in {counted(steps, 'step')}{worse}\nsee {drawn}")
