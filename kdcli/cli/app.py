"""The Typer application, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from kdcli.cli import interrupt
from kdcli.cli.lazy import LazyGroup
from kdcli.cli.ui import complain
from kdcli.errors import KdcliError
from kdcli.version import __version__

app = typer.Typer(
    name="kdcli",
    cls=LazyGroup,
    help="Distil a large monocular depth network into a small one, also without the target's images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
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


_NO_MEMORY = ("out of memory", "can't allocate memory", "Unable to allocate")
"""How CUDA, the CPU allocator and NumPy say it."""


def main() -> NoReturn:
    """Run the command line and exit with the documented code."""
    debug = "--debug" in sys.argv[1:]
    interrupt.install()
    try:
        app(standalone_mode=True)
    except KdcliError as error:
        if debug:
            raise
        complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        interrupt.answered()
        complain("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away (``kdcli ... | head``): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        where = f" '{error.filename}'" if error.filename else ""
        complain(f"{error.strerror or error}{where}; check that the path exists, is writable and the disk is not full")
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY):
            complain("out of memory; use a smaller --size or --batch-size, or a machine with more of it")
            sys.exit(1)
        complain(
            f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}; "
            "run again with --debug and report it"
        )
        sys.exit(1)
    sys.exit(0)
