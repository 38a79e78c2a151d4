"""Describe a plugin: origin, docstring, keys of its spec with their types and defaults."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Union

from kdcli.errors import KdcliError, PluginError, nearest
from kdcli.plugins import registry
from kdcli.spec import Spec, hints, keys, parse
from kdcli.text import block
from kdcli.text import line as plain
from kdcli.types import Needs

_LONGEST = 300
"""Letters of a fact or a default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a plugin's spec."""

    name: str
    type: str
    default: str | None
    """None: it has to be given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What ``kdcli plugins info`` tells."""

    kind: str
    name: str
    distribution: str
    version: str
    value: str
    shadowed_by: str | None
    origin: str | None
    doc: str
    takes_location: bool
    keys: tuple[Key, ...]
    facts: dict[str, str]
    error: str | None

    def row(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return asdict(self)


def owners(text: str, kind: str | None = None) -> list[tuple[registry.Plugin, Spec]]:
    """Return the plugins that a spec names, of one kind or of all kinds.

    Raises:
        PluginError: none has that name.
    """
    spec = parse(text)
    found = []
    for each in [kind] if kind else registry.GROUPS:
        try:
            found.append(registry.resolve(each, spec))
        except PluginError:
            continue
    if not found:
        known = {p.name for p in registry.discover() if kind in (None, p.kind)}
        what = f"{kind or 'plugin'} '{text}'"
        raise PluginError(f"there is no {what}.{nearest(spec.name, known)} See: "
                          f"{registry.see(kind) if kind else 'kdcli plugins list'}")
    return found


def describe_all(text: str, kind: str | None = None) -> list[Info]:
    """Describe every plugin of a name.

    Raises:
        PluginError: none has that name, or the only one cannot be loaded.
    """
    found = [describe(plugin) for plugin, _ in owners(text, kind)]
    if len(found) == 1 and found[0].error is not None:
        raise PluginError(found[0].error)
    return found


def describe(plugin: registry.Plugin) -> Info:
    """Load a plugin and describe it; what goes wrong at that is part of the description."""
    origin: str | None = None
    error: str | None = None
    found: tuple[Key, ...] = ()
    doc, takes_location = "", False
    facts: dict[str, str] = {}
    try:
        if plugin.is_data:
            path = registry.data_file(plugin)
            origin, doc = str(path), _leading_comment(path.read_text(encoding="utf-8"))
        else:
            factory = registry.load(plugin)
            origin, doc, facts = _origin(factory), _description(factory), _facts(factory)
            found, takes_location = _keys(factory)
    except (KdcliError, OSError) as problem:
        error = str(problem)
    return Info(
        kind=plugin.kind, name=plugin.name, distribution=plugin.distribution, version=plugin.version,
        value=plugin.value, shadowed_by=plugin.shadowed_by, origin=origin, doc=doc, takes_location=takes_location,
        keys=found, facts=facts, error=error,
    )


def _keys(factory: Callable[..., Any]) -> tuple[tuple[Key, ...], bool]:
    try:
        parameters = keys(factory)
    except (TypeError, ValueError):  # a callable written in C has no signature
        return (), False
    known = hints(factory)
    found = tuple(
        Key(name=name, type=_type_name(known.get(name, str)),
            default=None if parameter.default is parameter.empty else plain(_written(parameter.default), _LONGEST))
        for name, parameter in parameters.items() if name != "location"
    )
    return found, "location" in parameters


def _written(default: object) -> object:
    """Return a default as it is written in a spec."""
    return str(default).lower() if default is None or isinstance(default, bool) else default


def _type_name(kind: Any) -> str:
    """Return a type as a user writes its values: ``resnet50|densenet161|none``, ``true|false``."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "|".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return "|".join(_type_name(argument) for argument in arguments)
    if kind is types.NoneType:
        return "none"
    if kind is bool:
        return "true|false"
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _origin(factory: Any) -> str | None:
    try:
        target = inspect.unwrap(factory)
        return f"{inspect.getsourcefile(target)}:{inspect.getsourcelines(target)[1]}"
    except (TypeError, OSError, ValueError):
        return None


def _description(factory: Any) -> str:
    """Return the docstring up to its sections; not the signature that a dataclass has instead of one."""
    doc = inspect.getdoc(factory) or ""
    if doc.startswith(f"{getattr(factory, '__name__', '')}("):
        return ""
    return block(re.split(r"\n\n(?:Args|Raises|Returns|Yields):", doc)[0])


def _facts(factory: Any) -> dict[str, str]:
    """Return what a class declares before it is made; a function declares only its version."""
    facts = {"api_version": str(factory.api_version)}
    for name in ("depth_kind", "depth_range", "value_at_equality", "invariances", "needs", "suffix"):
        value = inspect.getattr_static(factory, name, None)
        if value is not None and not callable(value) and not hasattr(value, "__get__"):
            facts[name.replace("_", " ")] = plain(_in_words(value), _LONGEST)
    return facts


def _in_words(value: object) -> str:
    """Return what a class declares as text; of what it needs that alone which is not what all need."""
    if isinstance(value, Needs):
        asked = [(field.name, one) for field in fields(value) if (one := getattr(value, field.name)) != field.default]
        told = [name if one is True else f"{name} {_in_words(one)}" for name, one in asked if name != "teachers"]
        least, most = value.teachers
        several = [] if most == 1 else [f"{least} or more teachers" if most is None else f"{least} to {most} teachers"]
        return "; ".join([*told, *several]) or "nothing"
    if isinstance(value, frozenset | tuple):
        return ", ".join(sorted(map(str, value)) if isinstance(value, frozenset) else map(str, value)) or "none"
    return str(value)


def _leading_comment(text: str) -> str:
    comment = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return block("\n".join(comment))
