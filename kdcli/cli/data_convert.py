"""``kdcli data convert``: any source as shards, or in a layout that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kdcli.cli import kept
from kdcli.cli.ui import Session, command
from kdcli.text import counted

if TYPE_CHECKING:
    from kdcli.convert import Report

Layouts = Literal["shards", "folder", "ultralytics", "libreyolo", "tum", "marigold", "moge"]

_Spec = Annotated[str, typer.Argument(metavar="SPEC", help="A source, for example nyu:/data/nyu.")]
_Out = Annotated[Path, typer.Option(
    "--out", metavar="DIR", help="Folder to write; an interrupted conversion is completed.",
)]
_To = Annotated[Layouts, typer.Option("--to", help="shards: tars for training. Others: the layouts of these tools.")]
_Val = Annotated[str | None, typer.Option("--val", help="Source of the part to measure on.", metavar="SPEC")]
_Size = Annotated[str | None, typer.Option("--size", help="Height and width; default: as they are.", metavar="HxW")]
_Limit = Annotated[int | None, typer.Option("--limit", min=1, help="First images alone.", metavar="N")]
_Workers = Annotated[int | None, typer.Option("--workers", min=0, help="Processes; default: one a core.", metavar="N")]
_Image = Annotated[Literal["jpg", "png"] | None, typer.Option("--image", help="How images are written; by the layout.")]
_Quality = Annotated[int | None, typer.Option("--quality", min=1, max=100, help="Of JPEG; default 95.", metavar="N")]
_Depth = Annotated[Literal["png", "npy"] | None, typer.Option("--depth", help="16-bit PNG (default) or float32 NPY.")]
_Scale = Annotated[
    float | None, typer.Option("--scale", help="Units per metre of 16-bit depth; default: one that fits.")
]
_MaxDepth = Annotated[
    float | None, typer.Option("--max-depth", help="Leave out depth that is farther.", metavar="METRES")
]
_Shard = Annotated[int, typer.Option("--shard-size", min=1, help="Images a shard.", metavar="N")]
_Skip = Annotated[bool, typer.Option("--skip-broken", help="Leave out items that cannot be read, and say which.")]


def register(group: typer.Typer) -> None:
    """Add the command to the group of ``kdcli data``."""
    command(
        group, "convert", device=False, seed=False, example="kdcli data convert nyu:/data/nyu --out shards",
    )(convert)


def convert(
    session: Session, spec: _Spec, out: _Out, to: _To = "shards", val: _Val = None, size: _Size = None,
    limit: _Limit = None, workers: _Workers = None, image: _Image = None, quality: _Quality = None,
    depth: _Depth = None, scale: _Scale = None, max_depth: _MaxDepth = None, shard_size: _Shard = 1000,
    skip_broken: _Skip = False,
) -> None:
    """Write a source as shards for fast training, or in the layout of another tool.

    What is there is kept: an interrupted call goes on where it stopped.
    """
    from kdcli.convert import Asked
    from kdcli.convert import convert as run
    from kdcli.spec import parse_size

    asked = Asked(
        data=spec, layout=to, val=val, size=None if size is None else parse_size(size), image=image, quality=quality,
        depth=depth, scale=scale, max_depth=max_depth, shard_size=shard_size, skip_broken=skip_broken,
    )
    session.keeps(kept.going_on(lambda: out))
    with session.progress() as display:
        bar = display.add_task("converted", total=None, note="")
        report = run(
            asked, out, limit=limit, workers=workers,
            hear=lambda what, done, total: display.update(bar, description=what, completed=done, total=total),
        )
    session.result(report.document(), _told(report))
    if report.beyond["pixels"]:
        session.note(f"note: {report.beyond['pixels']} pixels of {report.beyond['images']} images are farther than "
                     f"{max_depth:g} m and left out")
    if report.left_out:
        session.note(f"warning: {report.left_out} items were left out; '{out / 'manifest.json'}' says why")


def _told(report: Report) -> str:
    shards = f" in {counted(report.shards, 'shard')}" if report.shards else ""
    there = f" ({report.kept} were there)" if report.kept else ""
    depth = "" if report.far is None else f", depth up to {report.far:.4g} m"
    scale = "" if report.scale is None else f" at {report.scale:.6g} units per metre"
    return f"{report.out}: {counted(report.images, 'image')}{shards}{there}{depth}{scale}; read them with {report.spec}"
