"""Pages that the site has of the program itself: help of every command as Markdown, and the functions and types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from typer.main import get_command

import kdcli
from kdcli.cli.app import app
from kdcli.cli.lazy import COMMANDS, GROUPS
from kdcli.cli.pages import Page

FOLDER = "commands"
PYTHON = "from-python.md"
_MODULES = {"What travels": "kdcli.types", "The contract of plugins": "kdcli.protocols", "Errors": "kdcli.errors"}
_WHOLE = "    options: {show_root_heading: false, show_root_toc_entry: false}"


class MarkdownPage(Page):
    """What a command writes its help to, where its parts become Markdown."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write how the command is called."""
        self.write(f"```text\n{prog} {args}\n```\n\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        for paragraph in text.split("\n\n"):
            self.write(f"{plain(' '.join(paragraph.split()))}\n\n")

    def write_heading(self, heading: str) -> None:
        """Write what the next lines are; they are no headings, of which a page would have too many."""
        self.write(f"**{heading}**\n\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write options or commands, each with what is to be said of it."""
        for name, text in rows:
            self.write(f"`{name.strip()}`\n:   {plain(' '.join(text.split()))}\n\n")

    def write_examples(self, lines: Iterable[str]) -> None:
        """Write commands to copy."""
        shown = "".join(f"$ {line}\n" for line in lines)
        if shown:
            self.write(f"**Examples**\n\n```console\n{shown}```\n\n")


def plain(text: str) -> str:
    """Return text in which Markdown finds nothing to format but code."""
    return re.sub(r"`[^`]*`|[\\*_\[\]<>#|]", lambda found: found[0] if found[0][0] == "`" else f"\\{found[0]}", text)


def pages() -> dict[str, str]:
    """Return the pages by their place in the site."""
    root: Any = get_command(app)
    context = root.context_class(root, info_name="kdcli")
    rows = [line for title, group in GROUPS.items() for line in _listed(title, group)]
    made = {f"{FOLDER}/index.md": "\n".join(["# Commands", "", *rows]), PYTHON: "\n".join(_python())}
    for group in GROUPS.values():
        for name in group:
            made[f"{FOLDER}/{name}.md"] = "\n".join(_described(root.commands[name], name, context, level=1))
    return made


def nav() -> list[Any]:
    """Return the pages on the commands in the order of the terminal."""
    return [{"All commands": f"{FOLDER}/index.md"}, *({name: f"{FOLDER}/{name}.md"} for name in COMMANDS)]


def _listed(title: str, group: dict[str, tuple[str, str]]) -> list[str]:
    rows = [f"| [`{name}`]({name}.md) | {plain(line)} |" for name, (_, line) in group.items()]
    return [f"## {title}", "", "| command | does |", "|---|---|", *rows, ""]


def _described(command: Any, name: str, above: Any, *, level: int) -> Iterator[str]:
    context = command.context_class(command, info_name=name, parent=above)
    page = MarkdownPage()
    command.format_help(context, page)
    yield f"{'#' * level} {context.command_path}\n"
    yield page.getvalue()
    for inner, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from _described(below, inner, context, level=level + 1)


def _python() -> Iterator[str]:
    """Give a page of which mkdocstrings makes what the docstrings say."""
    yield "# From Python\n"
    yield "The commands as functions. [What is public](public-api.md) lists every name that is meant for you.\n"
    yield "## Functions\n"
    yield from (f"::: kdcli.{name}\n" for name in kdcli.__all__ if not name.startswith("_"))
    for title, module in _MODULES.items():
        yield f"## {title}\n\n::: {module}\n{_WHOLE}\n"
