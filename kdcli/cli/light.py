"""Commands that start without pydantic, and whose help is a page of ``pages.py``.

Typer imports pydantic, a third of the start-up time, to read options that nobody gave. This is the one file that
touches Typer's internals. Where a version of Typer has other ones nothing here takes effect, and the command line is
the same, only slower to start and with Typer's own words in its help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from kdcli.cli.pages import Context, Page, examples, word_for


def lighten(app: typer.Typer) -> None:
    """Make an application and everything below it read its options lightly; call it when all is registered."""
    app.info.cls = LightGroup
    for command in app.registered_commands:
        command.cls = LightCommand
    for group in app.registered_groups:
        group.cls = LightGroup
        if group.typer_instance is not None:
            lighten(group.typer_instance)


class LightCommand(TyperCommand):
    """A command whose defaults and plain texts are taken as they are."""

    context_class = Context

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, ``--help`` among them."""
        return _light(super().get_params(ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, which Typer knows as what stands at the end."""
        _write_examples(examples(self.epilog), formatter)


class LightGroup(TyperGroup):
    """A group whose defaults and plain texts are taken as they are."""

    context_class = Context

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, ``--help`` among them."""
        return _light(super().get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, for which one looks, before the options of the group itself."""
        self.format_commands(ctx, formatter)
        TyperCommand.format_options(self, ctx, formatter)  # type: ignore[arg-type]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and whole first sentences."""
        shown = [(name, command) for name, command in self.commands.items() if not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_line(command)) for name, command in shown])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the group's examples, else those of its first command."""
        first = next(iter(self.commands.values()), None) if self.epilog is None else self
        _write_examples(examples(getattr(first, "epilog", None)), formatter)


def first_line(command: Any) -> str:
    """Return the first paragraph of a command's help in one line."""
    return " ".join((command.short_help or command.help or "").split("\n\n")[0].split())


def _write_examples(lines: list[str], formatter: Any) -> None:
    if isinstance(formatter, Page):
        formatter.write_examples(lines)


def _light(parameters: Any) -> Any:
    for parameter in parameters:
        if not hasattr(parameter, "type_descriptor"):
            continue
        if getattr(parameter, "_runtime_param", ()) is None:
            parameter._runtime_param = _Reader(parameter.type_descriptor)
        if parameter.metavar is None:
            parameter.metavar = word_for(parameter)
        if parameter.param_type_name == "argument":
            _plain(parameter)
    return parameters


def _plain(argument: Any) -> None:
    """Make help call an argument by its word alone, without type and braces."""
    shown = (argument.metavar or argument.name) + ("..." if argument.nargs != 1 else "")
    argument.display_type_rich = lambda ctx: None
    argument._rich_display_name = lambda: shown
    argument.get_usage_pieces = lambda ctx: [shown if argument.required else f"[{shown}]"]


class _Reader:
    """What reads one option: values that need no conversion pass, others go to Typer's own reader."""

    def __init__(self, descriptor: Any) -> None:
        self.descriptor = descriptor
        self._own: Any = None

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value in the option's type."""
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        kind = self.descriptor.annotation
        if kind in (str, int, float, bool) and type(value) is kind and not several and not self._ranged():
            return value
        if kind == list[str] and several and all(type(one) is str for one in value) and not self._ranged():
            return list(value)
        if isinstance(value, Path) and not several and kind is Path:  # a default: nobody wrote it
            return value
        try:
            return self._heavy().coerce(value, param=param, ctx=ctx)
        except typer.BadParameter as error:
            wanted, own = self._number(), error.message.removeprefix("Value error, ").rstrip(".")
            told = own if wanted is None else f"'{value}' is not {wanted}"
            raise typer.BadParameter(told, ctx=ctx, param=param) from error

    def _number(self) -> str | None:
        """Return in words what number the option takes; None where it takes none."""
        kinds = {int: "a whole number", float: "a number"}
        kind = self.descriptor.annotation
        word = next((kinds[one] for one in (kind, *get_args(kind)) if one in kinds), None)
        low, high = (getattr(self.descriptor.parameter_info, name, None) for name in ("min", "max"))
        if word is None or (low is None and high is None):
            return word
        if low is None:
            return f"{word} up to {high:g}"
        return f"{word} from {low:g} on" if high is None else f"{word} from {low:g} to {high:g}"

    def _ranged(self) -> bool:
        info = self.descriptor.parameter_info
        return any(getattr(info, name, None) is not None for name in ("min", "max", "parser", "click_type"))

    def _heavy(self) -> Any:
        if self._own is None:
            from typer._coercion import build_runtime_param

            self._own = build_runtime_param(self.descriptor)
        return self._own
