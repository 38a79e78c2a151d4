"""``kdcli cache``: keep what a teacher says of a source's images, for any run that asks the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from kdcli.cli import complete, kept
from kdcli.cli.ui import Session, command
from kdcli.text import counted

_Teacher = Annotated[
    str, typer.Option("--teacher", help="Who is asked.", metavar="SPEC", autocompletion=complete.teacher)
]
_Data = Annotated[str, typer.Option("--data", help="The images.", metavar="SPEC", autocompletion=complete.source)]
_Out = Annotated[
    str, typer.Option("--out", help="Folder to make, complete or check; auto: below the user's cache.", metavar="DIR")
]
_Size = Annotated[
    str | None, typer.Option("--size", help="Height and width; default: the first image's.", metavar="HxW")
]
_Flip = Annotated[
    bool | None, typer.Option("--flip/--no-flip", help="Mean with the mirrored image; default: as the teacher says.")
]
_Layout = Annotated[
    Literal["kdcli", "gt-kd"],
    typer.Option("--layout", help="gt-kd: the folders of TIE-KD, 16-bit PNG named after the image's path."),
]
_MaxDepth = Annotated[
    float | None, typer.Option("--max-depth", help="Metres of the greatest number in layout gt-kd; kitti 80, nyu 10.")
]
_Storage = Annotated[
    Literal["auto", "png16", "float16", "float32"],
    typer.Option("--storage", help="How maps are kept; auto: png16 for depth, else float16."),
]
_Batch = Annotated[int, typer.Option("--batch-size", min=1, help="Images asked for together.", metavar="N")]
_Workers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Processes that decode; default: by the machine.", metavar="N")
]
_Verify = Annotated[bool, typer.Option("--verify", help="Make nothing: read every map, and say what is not right.")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app, "cache", seed=False, example="kdcli cache --teacher adabins --data folder:photos --out auto",
    )
    def cache(
        session: Session, teacher: _Teacher, data: _Data, out: _Out, size: _Size = None, flip: _Flip = None,
        layout: _Layout = "kdcli", max_depth: _MaxDepth = None, storage: _Storage = "auto", batch_size: _Batch = 8,
        workers: _Workers = None, verify: _Verify = False,
    ) -> None:
        """Make or check a folder of a teacher's depth maps, for the stage key teacher_cache.

        What is there is kept: an interrupted call goes on where it stopped, a changed image is asked for again.
        """
        from kdcli.cache.place import auto_folder
        from kdcli.spec import parse_size
        from kdcli.training.single.cache_set import cache_set

        if not verify:
            session.keeps(kept.going_on(lambda: auto_folder() if out == "auto" else Path(out)))
        with session.progress() as display:
            bar = display.add_task("teacher maps", total=None, note="")
            told = cache_set(
                teacher, data, "auto" if out == "auto" else Path(out), size=None if size is None else parse_size(size),
                layout=layout, max_depth=max_depth, flip=flip, storage=storage, batch_size=batch_size,
                workers="auto" if workers is None else workers,
                verify=verify, device=session.device,
                told=lambda what, done, total: display.update(bar, description=what, completed=done, total=total),
            )
        row = told["caches"][0]
        did = "all sound" if verify else f"{told['made']} made, {told['reused']} were there"
        height, width = row["size"]
        maps = counted(told["images"], "map")
        session.result(
            told, f"{row['folder']}: {maps} of {height}x{width}, {did}, {told['bytes'] / 1e6:.3g} MB"
        )
