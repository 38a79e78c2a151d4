"""``kdcli runs watch``: how a run, or a study, gets on, from another process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdcli.cli.ui import Session, say

if TYPE_CHECKING:
    from kdcli.watching import Look

Watched = Annotated[Path, typer.Argument(help="Run folder, or a study's folder.")]
Once = Annotated[bool, typer.Option("--once", help="Look once, say what is there, and end.")]
Every = Annotated[float, typer.Option("--every", help="Seconds between two looks.", metavar="SECONDS")]
STEADY = 3
"""Looks that have to find nobody at work before that is believed: a run that is just beginning has no owner yet."""


def watch(session: Session, run: Watched, once: Once = False, every: Every = 2.0) -> None:
    """Follow a run or a study that another process is at work on: step, loss, speed, time left, until it ends.

    Nothing is asked of the run: only its files are read, also over a network. Ctrl-C ends the watching alone. With
    --json the last look is printed.
    """
    from kdcli.errors import ConfigError
    from kdcli.watching import RunLook, StudyLook, is_study
    from kdcli.watching.drawing import letters_for

    if not 0.05 <= every <= 3600:
        raise ConfigError(f"--every {every:g} is no time between two looks; give 0.05 to 3600 seconds")
    look: Look = StudyLook(folder=run) if is_study(run) else RunLook(folder=run)
    letters = letters_for(sys.stdout.encoding)
    if not once:
        session.keeps(lambda: "the watching ended, and nothing else")
        _follow(session, look, every, letters)
    session.result(look.document(), lambda: say("\n".join(look.lines(letters)), whole=True))


def _follow(session: Session, look: Look, every: float, letters: str) -> None:
    """Look again until nothing more comes; drawn in place on a terminal, a line where something changed elsewhere."""
    from kdcli.text import block

    if sys.stderr.isatty() and not session.quiet:
        from rich.live import Live
        from rich.text import Text

        # Drawn on standard error and taken away: the last look is the result.
        with Live(console=session.console, transient=True, auto_refresh=False) as live:
            _until_the_end(look, every, lambda: live.update(Text(block("\n".join(look.lines(letters)))), refresh=True))
        return
    told: set[str] = set()

    def tell() -> None:
        for text in look.lines(letters)[:1]:
            if text not in told and not look.ended:  # how it ended is the result
                told.clear()
                told.add(text)
                session.note(text)

    _until_the_end(look, every, tell)


def _until_the_end(look: Look, every: float, draw: Callable[[], None]) -> None:
    quiet = 0
    while True:
        draw()
        quiet = quiet + 1 if look.ended else 0
        if quiet >= STEADY:
            return
        time.sleep(min(every, 0.5) if quiet else every)
        look.again()
