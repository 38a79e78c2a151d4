"""How help looks: whole sentences at any width, one word for what an option takes, an example at the end.

Everything here takes effect by way of ``light.py``, which gives commands their contexts and parameters.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from kdcli.cli.folding import columns, fold, width

MOST = 100
"""Columns of a page of help; longer lines are hard to read."""
LEAST = 40
WORDS = {
    "--against": "SPEC",
    "--align": "ALIGN",
    "--cmap": "NAME",
    "--data": "SPEC",
    "--device": "DEVICE",
    "--eval": "FILE.json",
    "--eval-data": "SPEC",
    "--every": "SECONDS",
    "--focal": "PIXELS",
    "--folder": "DIR",
    "--format": "FORMAT",
    "--height": "PIXELS",
    "--images": "DIR",
    "--kind": "KIND",
    "--limits": "LO,HI",
    "--logger": "SPEC",
    "--loss": "NAME=WEIGHT",
    "--lr": "RATE",
    "--max-depth": "METRES",
    "--mixer": "SPEC",
    "--only": "ARM",
    "--out": "FILE",
    "--part": "KEY",
    "--picture": "FILE.png",
    "--pixel": "X,Y",
    "--plot": "FILE.png",
    "--pretrained": "true|false|auto",
    "--preview": "FILE.png",
    "--probe": "FILE.npz",
    "--protocol": "PROTOCOL",
    "--recipe": "RECIPE",
    "--report": "FILE.html",
    "--resume": "RUN",
    "--csv": "FILE.csv",
    "--scale": "UNITS",
    "--seeds": "N,N",
    "--set": "KEY=VALUE",
    "--share": "SHARE",
    "--sigma": "SPREAD",
    "--size": "HxW",
    "--stage": "qat",
    "--statistics": "FILE.safetensors",
    "--student": "SPEC",
    "--teacher": "SPEC",
    "--timeout": "SECONDS",
    "--to": "DIR",
    "--transform": "FILE",
    "--truth": "FILE",
    "--truth-scale": "UNITS",
    "--val": "SPEC",
    "--verify-on": "FILE.npz",
    "file": "FILE",
    "image": "IMAGE",
    "inputs": "PATH",
    "model": "MODEL",
    "models": "MODEL",
    "name": "NAME",
    "run": "RUN",
    "runs": "RUN",
    "spec": "SPEC",
}
"""Option or argument -> what it takes, in every command that does not say otherwise by ``metavar``."""
_KINDS: dict[Any, str] = {int: "N", float: "X"}


_Formatter: Any = typer.Context.formatter_class


def word_for(parameter: Any) -> str | None:
    """Return what help calls the value of an option or argument; None where Typer's own word stays."""
    known = next((WORDS[name] for name in parameter.opts if name in WORDS), None)
    descriptor = parameter.type_descriptor
    if getattr(descriptor, "is_choice", False):
        return "|".join(str(getattr(one, "value", one)) for one in descriptor.choices or ())
    return known or _KINDS.get(getattr(descriptor, "annotation", None))


def examples(told: str | None) -> list[str]:
    """Return the example lines that a command carries."""
    return [line for line in (told or "").splitlines() if line.strip()]


class Page(_Formatter):  # type: ignore[misc]
    """A page of help in the terminal's width."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        wide = min(columns(), max_width or MOST) - 2 if width is None else width
        super().__init__(indent_increment=indent_increment, width=max(wide, LEAST), max_width=max_width)

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line that says how the command is called."""
        begin = f"{'Usage: ' if prefix is None else prefix}{prog} "
        first, *more = fold(args, max(self.width - len(begin), LEAST // 2))
        self.write(f"{begin}{first}\n" + "".join(f"{' ' * len(begin)}{line}\n" for line in more))

    def write_text(self, text: str) -> None:
        """Write paragraphs, with an empty line between two."""
        space = " " * self.current_indent
        for i, paragraph in enumerate(text.split("\n\n")):
            lines = fold(" ".join(paragraph.split()), self.width - self.current_indent)
            self.write(("\n" if i else "") + "".join(f"{space}{line}\n" for line in lines))

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write names and what is to be said of each, in two columns."""
        narrow = min(max((width(name) for name, _ in rows), default=0), col_max, self.width * 2 // 5) + col_spacing
        space, beside = " " * self.current_indent, " " * (self.current_indent + narrow)
        for name, text in rows:
            lines = fold(" ".join(text.split()), self.width - len(beside)) if text else []
            fits = width(name) + col_spacing <= narrow
            if fits and lines:
                self.write(f"{space}{name}{' ' * (narrow - width(name))}{lines.pop(0)}\n")
            else:
                self.write("".join(f"{space}{line}\n" for line in fold(name, self.width - self.current_indent)))
            self.write("".join(f"{beside}{line}\n" for line in lines))

    def write_examples(self, lines: Iterable[str]) -> None:
        """Write commands to copy; one that is too long goes on behind a backslash."""
        shown = list(lines)
        if not shown:
            return
        with self.section("Examples" if len(shown) > 1 else "Example"):
            for line in shown:
                self.write("".join(f"{row}\n" for row in _continued(line, self.width, self.current_indent)))


def _continued(command: str, wide: int, indent: int) -> list[str]:
    """Return a command in lines of at most ``wide`` columns that a shell reads as one."""
    rows = [" " * indent]
    for word in _words(command):
        joined = rows[-1] + ("" if rows[-1].isspace() else " ") + word
        if len(joined) + 2 <= wide or rows[-1].isspace():
            rows[-1] = joined
        else:
            rows[-1] += " \\"
            rows.append(" " * (indent + 4) + word)
    return rows


def _words(command: str) -> list[str]:
    """Return the words of a command, quoted where they are, an option together with its value."""
    words: list[str] = []
    for word in (shlex.quote(one) for one in shlex.split(command)):
        if words and words[-1].startswith("--") and " " not in words[-1] and not word.startswith("-"):
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words


class Context(typer.Context):
    """A call of a command, whose help is such a page."""

    formatter_class = Page
