"""The Typer application, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

import typer

from kdcli import interrupts
from kdcli.cli import interrupt, streams
from kdcli.cli.lazy import LazyGroup
from kdcli.cli.ui import complain
from kdcli.errors import KdcliError, out_of_memory
from kdcli.version import __version__

app = typer.Typer(
    name="kdcli",
    cls=LazyGroup,
    help="Distil a large monocular depth network into a small one, also without the target's images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="kdcli distill\nkdcli distill --teacher adabins --data folder:photos\nkdcli distill --help",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"kdcli {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Distil a large monocular depth network into a small one, also without the target's images."""


def main() -> NoReturn:
    """Run the command line and exit with the documented code."""
    interrupt.install()
    streams.install()
    try:
        code = _run("--debug" in sys.argv[1:])
    except KeyboardInterrupt:  # once more, while the first one was being answered
        interrupt.answered()
        code = interrupts.CODE
    interrupt.over(code)
    sys.exit(code)


def _run(debug: bool) -> int:
    """Run the command line and return the exit code; whatever goes wrong is told in one line."""
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        if interrupts.unanswered():  # Typer heard it, which ends with the right code, but without a word
            return _told("interrupted", interrupts.CODE)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KdcliError as error:
        if debug:
            raise
        return _told(str(error), error.exit_code)
    except KeyboardInterrupt:
        interrupt.answered()
        return _told("interrupted", interrupts.CODE)
    except BrokenPipeError:
        # The reader of our output went away (``kdcli ... | head``): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug:
            raise
        return _told(_of_the_system(error), 1)
    except Exception as error:
        if debug:
            raise
        if out_of_memory(error):
            return _told("out of memory; use a smaller --size or --batch-size, or a machine with more of it", 1)
        text = " ".join(str(error).split())[:300]
        return _told(f"unexpected {type(error).__name__}: {text}; run again with --debug and report it", 1)
    return 0


def _of_the_system(error: OSError) -> str:
    """Say what the system refused, and what to look at."""
    where = f" '{error.filename}'" if error.filename else ""
    todo = {
        FileExistsError: "something else is there; give another path",
        IsADirectoryError: "it is a folder; give a file",
        NotADirectoryError: "a part of that path is a file; give another path",
        PermissionError: "give a path that you may write, or change who may",
    }.get(type(error), "check that the path exists, is writable and the disk is not full")
    return f"{error.strerror or error}{where}; {todo}"


def _told(message: str, code: int) -> int:
    if interrupts.unanswered():  # some library made another error of it
        interrupt.answered()
        message, code = "interrupted", interrupts.CODE
    with contextlib.suppress(OSError):  # nobody may be there to read it
        complain(message)
    return code
