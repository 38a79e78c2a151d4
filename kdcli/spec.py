"""The one grammar for naming a plugin: ``NAME[:LOCATION][,key=value...]``.

``nyu:/data/nyu,split=test`` is plugin ``nyu`` at ``/data/nyu`` with ``split=test``. A location may hold colons and
commas: only trailing ``,key=value`` parts are options. Within brackets nothing is an option, so that a location can be
made of specs: ``mean:[adabins|bts:FILE,max_depth=10]``.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union

from kdcli.errors import ConfigError, SpecError, nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_OPTION = re.compile(r"([A-Za-z_][A-Za-z0-9_\-]*)=(.*)", re.DOTALL)
MOST_SIDE = 16384
"""Pixels a side that images are brought to at most: twice what cameras of 100 megapixels give."""
_GREATEST = 2**63 - 1
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A parsed spec; options are still strings."""

    name: str
    location: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        head = self.name if self.location is None else f"{self.name}:{self.location}"
        return ",".join([head, *(f"{key}={value}" for key, value in self.options.items())])


def parse(text: str) -> Spec:
    """Parse a spec.

    Raises:
        SpecError: no name, or something other than ``key=value`` after the first option.
    """
    parts = _split(text)
    first = next((i for i, part in enumerate(parts) if i and _OPTION.fullmatch(part)), len(parts))
    head, options = ",".join(parts[:first]), {}
    for part in parts[first:]:
        match = _OPTION.fullmatch(part)
        if match is None:
            raise SpecError(f"'{part}' in '{text}' is not key=value; write NAME[:LOCATION][,key=value...]")
        key = match[1].replace("-", "_")
        if key in options:
            raise SpecError(f"key '{match[1]}' is given twice in '{text}'")
        options[key] = match[2]
    name, colon, location = head.partition(":")
    if not _NAME.fullmatch(name):
        if name.startswith((".", "~")) or "/" in name or "\\" in name:
            raise SpecError(f"'{text}' is a path where a spec belongs; name what reads it: {named_path(text)}")
        raise SpecError(f"'{text}' does not start with a plugin name; write NAME[:LOCATION][,key=value...]")
    return Spec(name=name, location=location if colon else None, options=options)


def named_path(path: str) -> str:
    """Return a path as the spec that it may be meant for: a network's file, a run folder, else a folder of images."""
    if path.endswith(".onnx"):
        return f"onnx:{path}"
    run = path.endswith(".safetensors") or Path(path, "manifest.json").is_file()
    return f"run:{path}" if run else f"folder:{path} for images, run:RUN or onnx:FILE for a network"


def members(location: str) -> list[str]:
    """Return the specs in ``[A|B|C]``, of a plugin made of others; the brackets may be left out where none has options.

    Bars inside of further brackets belong to a member that has members of its own.
    """
    inner = location[1:-1] if location.startswith("[") and location.endswith("]") else location
    return [part.strip() for part in _outside(inner, "|") if part.strip()]


def _split(text: str) -> list[str]:
    """Split at the commas that lie outside brackets; brackets without a partner are letters like any other."""
    return text.split(",") if text.count("[") != text.count("]") else _outside(text, ",")


def _outside(text: str, sign: str) -> list[str]:
    """Split at a sign where it lies outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == sign and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def bind(spec: Spec, factory: Callable[..., Any]) -> dict[str, Any]:
    """Turn a spec into keyword arguments of a factory, checked and converted by its signature.

    Raises:
        SpecError: an unknown key, a value of the wrong type, a location where none is taken, or one that is missing.
    """
    parameters, types_by_name = keys(factory), hints(factory)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(factory).parameters.values())
    known = [name for name in parameters if name != "location"]
    given: dict[str, Any] = {}
    for key, text in spec.options.items():
        if key == "location" or (key not in parameters and not open_ended):
            listed = ", ".join(known) or "none"
            raise SpecError(f"'{spec.name}' has no key '{key}'.{nearest(key, known)} Keys: {listed}")
        given[key] = convert(text, types_by_name.get(key, str), f"{spec.name},{key}")
    if spec.location is not None:
        if "location" not in parameters:
            raise SpecError(f"'{spec.name}' takes no location, but was given '{spec.location}'; write '{spec.name}'")
        given["location"] = spec.location
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            wanted = f"'{spec.name}:LOCATION'" if name == "location" else f"'{spec.name},{name}=...'"
            raise SpecError(f"'{spec}' lacks {name}; write {wanted}")
    return given


def convert(text: str, kind: Any, where: str) -> Any:
    """Convert a string to an annotated type: bool, int, float, str, Literal, or one of a union.

    Raises:
        SpecError: the text is not of that type.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        for value in arguments:
            if str(value) == text:
                return value
        choices = [str(value) for value in arguments]
        raise SpecError(f"'{where}={text}' is not one of {', '.join(choices)}.{nearest(text, choices)}")
    if origin in (Union, types.UnionType):
        if type(None) in arguments and text.lower() == "none":
            return None
        options = [argument for argument in arguments if argument is not type(None)]
        for option in options:
            try:
                return convert(text, option, where)
            except SpecError:
                if len(options) == 1:
                    raise
        words = [word for option in options for word in _words(option)]
        raise SpecError(f"'{where}={text[:80]}' is not {', '.join(words[:-1])} or {words[-1]}")
    if kind is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise SpecError(f"'{where}={text}' is not true or false")
    if kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            raise SpecError(
                f"'{where}={text[:80]}' is not {'a whole' if kind is int else 'a'} number"
            ) from None
        if kind is int and abs(value) > _GREATEST:
            raise SpecError(f"'{where}={text[:80]}' has more than 64 bits; write a smaller number")
        return value
    return text


def _words(kind: Any) -> list[str]:
    """Return what a text may be to be of a type, for messages."""
    if typing.get_origin(kind) is Literal:
        return [str(value) for value in typing.get_args(kind)]
    return {bool: ["true", "false"], int: ["a whole number"], float: ["a number"]}.get(kind, ["a text"])


def parse_size(text: str) -> tuple[int, int]:
    """Parse ``HxW`` into (height, width).

    Raises:
        SpecError: not two positive whole numbers.
    """
    match = re.fullmatch(r"(\d+)[xX](\d+)", text)
    sides = () if match is None or len(text) > 40 else (int(match[1]), int(match[2]))
    if not all(sides) or not sides:
        raise SpecError(f"size '{text[:80]}' is not HxW in pixels; write for example 96x128")
    if max(sides) > MOST_SIDE:
        raise SpecError(f"size '{text}' is beyond {MOST_SIDE} pixels a side; write for example 96x128")
    return sides[0], sides[1]


def check_seed(seed: int, what: str) -> None:
    """Refuse a seed that not every library takes and no manifest holds.

    Raises:
        ConfigError: it is negative, or has more than 63 bits.
    """
    if not 0 <= seed <= _GREATEST:
        raise ConfigError(f"{what}={seed} is no seed; give a whole number from 0 to {_GREATEST}")


def keys(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a factory that a spec can set, ``location`` among them, by name."""
    return {
        name: parameter
        for name, parameter in inspect.signature(factory).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD) and name != "self"
    }


def hints(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of a factory's parameters by name, as far as they can be told."""
    target = factory.__init__ if inspect.isclass(factory) else factory
    try:
        return typing.get_type_hints(target)
    except Exception:  # names under TYPE_CHECKING: fall back to strings, the factory then sees text
        simple = {"int": int, "float": float, "bool": bool, "str": str}
        raw = {name: p.annotation for name, p in inspect.signature(factory).parameters.items()}
        return {n: simple.get(str(a).split(" |")[0], str) for n, a in raw.items()}
