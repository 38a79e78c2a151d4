"""What every command shares: its common options, where results and messages go, progress.

Results go to standard output, everything else to standard error. With ``--json`` standard output holds one JSON
document and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import typer

from kdcli import interrupts
from kdcli.cli import interrupt
from kdcli.cli.folding import columns, prose
from kdcli.cli.kept import Kept, nothing
from kdcli.cli.streams import whole
from kdcli.errors import ConfigError, KdcliError
from kdcli.remarks import heard
from kdcli.text import CELL, block, line

if TYPE_CHECKING:
    import torch
    from rich.console import Console
    from rich.progress import Progress

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", show_default=True)]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of all that is random; default: 0.")]
RecipeSeed = Annotated[int | None, typer.Option("--seed", help="Seed of all that is random; default: the recipe's.")]
Json = Annotated[bool, typer.Option(
    "--json", is_eager=True, help="Print the result as one JSON document on standard output.",
)]  # eager: what lists and ends before all is asked for, as --protocol list does, knows of it
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress or notes, only results and errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")]

_IDLE = {
    "device": Annotated[str, typer.Option("--device", hidden=True)],
    "seed": Annotated[int | None, typer.Option("--seed", hidden=True)],
}
"""Taken by the commands that have no use for it, and not shown: one line of options may go with all commands."""
_COMMON: tuple[tuple[str, Any, Any], ...] = (
    ("device", Device, "auto"),
    ("seed", Seed, None),
    ("json", Json, False),
    ("quiet", Quiet, False),
    ("debug", Debug, False),
)


@dataclass(frozen=True, kw_only=True)
class Session:
    """The common options of one call of a command."""

    device_name: str = "auto"
    seed_given: int | None = None
    json: bool = False
    quiet: bool = False
    kept: list[Kept] = field(default_factory=lambda: [nothing], repr=False)
    """What is said of an interruption, the one that holds."""

    def __post_init__(self) -> None:
        """Refuse a seed that is none.

        Raises:
            ConfigError: it is negative or too large.
        """
        if self.seed_given:
            from kdcli.spec import check_seed

            check_seed(self.seed_given, "--seed")

    @property
    def seed(self) -> int:
        """The seed; 0 where none was given."""
        return self.seed_given or 0

    @property
    def device(self) -> torch.device:
        """The device to work on; ``auto`` is CUDA where there is one. Threads are as many as there are cores for.

        Raises:
            ConfigError: an unknown device, or CUDA asked for where there is none.
        """
        from kdcli.devices import choose, limit_threads

        limit_threads()
        device = choose(self.device_name)
        if device.type == "meta":  # for code that only asks for shapes; it gives no numbers
            raise ConfigError(f"device '{self.device_name}' gives no numbers; use auto, cpu, cuda or cuda:N")
        return device

    @property
    def console(self) -> Console:
        """A rich console on standard error; silent with ``--quiet``."""
        from rich.console import Console

        return Console(file=whole(sys.stderr), quiet=self.quiet, highlight=False, soft_wrap=True)

    def note(self, message: str) -> None:
        """Say something on standard error, unless ``--quiet``."""
        if not self.quiet:
            print(laid(block(message), sys.stderr), file=sys.stderr, flush=True)

    def result(self, document: Any, human: Callable[[], None] | str | None = None) -> None:
        """Give the result: as JSON with ``--json``, otherwise for people."""
        if self.json:
            print(json.dumps(document, indent=2, default=str, allow_nan=False), flush=True)
        elif isinstance(human, str):
            say(human)
        elif human is not None:
            human()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
        """Print a table on standard output, folded to the terminal's width, also in a pipe.

        Columns in which no row has anything are left out.
        """
        from kdcli.cli.tables import print_table

        texts = [["" if cell is None else line(cell, CELL) for cell in row] for row in rows]
        said = [i for i in range(len(columns)) if not texts or any(row[i] for row in texts)]
        print_table([columns[i] for i in said], [[row[i] for i in said] for row in texts], title and line(title))

    def keeps(self, what: Kept) -> None:
        """Have it said on the way out of an interruption what is kept; until a command says so, nothing is."""
        self.kept[:] = [what]

    def progress(self, *, still: bool = False) -> AbstractContextManager[Progress]:
        """Return a rich progress display on standard error; nothing is drawn when that is no terminal.

        still: drawn when something is told alone, not by a thread that works beside what is measured.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from kdcli.cli.remaining import RemainingColumn

        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            RemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.console,
            transient=True,
            auto_refresh=not still,
            disable=self.quiet or not sys.stderr.isatty(),
        )


def command(
    app: typer.Typer, name: str, *, example: str | Sequence[str] = (), many: bool = False, device: bool = True,
    seed: bool | Literal["recipe"] = True, **settings: Any,
) -> Callable[[Callable[..., None]], Callable[..., None]]:  # fmt: skip
    """Register a function as a command; it is given a ``Session`` first, made from the common options.

    example: calls that the end of its help shows, to copy. many: several processes may do it together, as ``torchrun``
    starts them; otherwise that is refused. device, seed: whether it asks its session for one; without, help does not
    show the option. seed="recipe": where none is given the recipe's counts.
    """
    idle: dict[str, Any] = {key: _IDLE[key] for key, used in (("device", device), ("seed", seed)) if not used}
    if seed == "recipe":
        idle["seed"] = RecipeSeed
    told = "\n".join([example] if isinstance(example, str) else example)

    def register(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=idle.get(key, kind), default=default)
            for key, kind, default in _COMMON
        ]

        @functools.wraps(function)
        def wrapper(**options: Any) -> None:
            shared = {key: options.pop(key) for key, _, _ in _COMMON}
            session = Session(
                device_name=shared["device"], seed_given=shared["seed"], json=shared["json"],
                quiet=shared["quiet"] or _follows(),
            )
            from kdcli.plugins.lenient import be_lenient

            interrupts.forget()
            be_lenient()
            if not many:
                require_alone(name)
            try:
                with heard(session.note):
                    _run(function, session, options)
            except KeyboardInterrupt:  # Typer would end with the right code, but without a word
                _interrupted(session, traceback=shared["debug"])
                if shared["debug"]:
                    raise
                raise typer.Exit(interrupts.CODE) from None
            except BrokenPipeError:
                # The reader of our output went away (``kdcli ... | head``): not an error of ours. What is still in the
                # buffer goes nowhere.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(0) from None
            except Exception:
                if not interrupts.unanswered():
                    raise
                _interrupted(session)  # some library made another error of it
                raise typer.Exit(interrupts.CODE) from None

        named = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        wrapper.__signature__ = signature.replace(parameters=[*named, *common])  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in [*named, *common]}
        del wrapper.__wrapped__
        app.command(name, epilog=told, **settings)(wrapper)
        return function

    return register


def require_alone(name: str) -> None:
    """Refuse to do the same several times at once.

    Raises:
        ConfigError: the environment speaks of several processes, as ``torchrun`` starts them.
    """
    if _several():
        raise ConfigError(f"'{name}' is done by one process, and WORLD_SIZE={os.environ['WORLD_SIZE']} speaks of "
                          "several; start it without torchrun")


def _several() -> bool:
    return "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def _follows() -> bool:
    """Whether this is one of several processes and not the first, which tells what there is to say."""
    return _several() and os.environ["RANK"] != "0"


def _run(function: Callable[..., None], session: Session, options: dict[str, Any]) -> None:
    """Run a command; an error that came through a plugin's code names it, also one that means to end Python."""
    try:
        function(session, **options)
    except KdcliError:
        raise
    except BaseException as error:
        from kdcli.plugins.culprit import culprit

        told = culprit(error)
        if told is None:
            raise
        raise told from error


def _interrupted(session: Session, *, traceback: bool = False) -> None:
    """Say what is kept, and that it was interrupted."""
    interrupt.answered()
    with contextlib.suppress(OSError):  # nobody may be there to read it
        if told := session.kept[0]():
            session.note(told)
        if not traceback:
            complain("interrupted")


def say(text: str = "", *, whole: bool = False) -> None:
    """Print a part of the result on standard output. whole: its lines stay as they are, for it is a file's content."""
    print(block(text) if whole else laid(block(text), sys.stdout), flush=True)


def complain(message: str) -> None:
    """Print one error line on standard error."""
    print(laid(f"kdcli: {line(message)}", sys.stderr), file=sys.stderr, flush=True)


def laid(text: str, stream: TextIO) -> str:
    """Return sentences as a stream shows them: folded between words on a terminal, else in one line each."""
    return prose(text, columns()) if stream.isatty() else text
