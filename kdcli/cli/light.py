"""Start without pydantic: Typer imports it, a third of the start-up time, to read options that nobody gave.

The one file that touches Typer's internals. Where a version of Typer has other ones nothing here takes effect, and the
command line is the same, only slower to start.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


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

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, ``--help`` among them."""
        return _light(super().get_params(ctx))


class LightGroup(TyperGroup):
    """A group whose defaults and plain texts are taken as they are."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, ``--help`` among them."""
        return _light(super().get_params(ctx))


def _light(parameters: Any) -> Any:
    for parameter in parameters:
        if getattr(parameter, "_runtime_param", ()) is None and hasattr(parameter, "type_descriptor"):
            parameter._runtime_param = _Reader(parameter.type_descriptor)
    return parameters


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
        return self._heavy().coerce(value, param=param, ctx=ctx)

    def _ranged(self) -> bool:
        info = self.descriptor.parameter_info
        return any(getattr(info, name, None) is not None for name in ("min", "max", "parser", "click_type"))

    def _heavy(self) -> Any:
        if self._own is None:
            from typer._coercion import build_runtime_param

            self._own = build_runtime_param(self.descriptor)
        return self._own
