"""JSON and TOML that kdcli, or a person, wrote: read within bounds, checked, refused in one line that names the file.

Whatever can be wrong with such a file is one ``KdcliError``: text that is not UTF-8, nesting without end, NUL, numbers
that are none or beyond 64 bits, values of another type than the reader goes on with. A shape says which those are:

========================  =================================================
``str``, ``int``, ``bool``  that type; ``float`` is any number
``(shape, shape)``          one of them; ``None`` is null
``[shape]``                 a list of them; ``[shape, shape]`` one of that length
``Each(shape)``             a table with any keys and such values
``{"key": shape}``          a table with that key; ``"key?"`` may be absent; others are allowed
``Any``                     anything
========================  =================================================
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from kdcli.errors import DataError, KdcliError

MOST_BYTES = 2**28
"""Of a JSON file: a mixed set of a million images fits."""
MOST_TEXT = 2**20
"""Of a TOML file, which people write."""
DEEPEST = 64
"""Tables and lists within one another; kdcli's own files have seven."""
_GREATEST = 2**63 - 1
_KEY = r"(?:(?<![\w-])[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')"
_LONG_KEY = re.compile(rf"(?:{_KEY}[ \t]*\.[ \t]*){{{DEEPEST}}}")
"""A dotted key nests as well, and tomllib takes time that grows with the square of its parts."""


@dataclass(frozen=True, slots=True)
class Each:
    """The shape of a table with any keys."""

    shape: Any


def read_text(
    path: Path, advice: str, *, error: type[KdcliError] = DataError, most: int = MOST_TEXT, names: bool = False
) -> str:
    """Read a text file with plain newlines.

    names: bytes that are not UTF-8 are taken as those of a file's name that is none, as Python has it in paths.

    Raises:
        KdcliError: of the class ``error``: missing, no file, too large, not UTF-8, or a NUL in it. ``advice`` says what
            to do.
    """
    try:
        if path.exists() and not path.is_file():
            _refuse(f"'{path}' is no file", advice, error)
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as trouble:
        _refuse(f"'{path}' cannot be read ({trouble.strerror or type(trouble).__name__})", advice, error)
    if len(content) > most:
        _refuse(f"'{path}' has more than {most // 2**20} MiB", advice, error)
    if b"\0" in content:
        _refuse(f"'{path}' is damaged: it holds NUL", advice, error)
    try:
        text = content.decode("utf-8-sig", errors="surrogateescape" if names else "strict")
    except UnicodeDecodeError as trouble:
        _refuse(f"'{path}' is not UTF-8 text (byte {trouble.start + 1})", advice, error)
    return text.replace("\r\n", "\n")


def read_json(path: Path, shape: Any, advice: str, *, error: type[KdcliError] = DataError) -> Any:
    """Read a JSON file of a shape.

    Raises:
        KdcliError: as ``read_text`` and ``parse_json``.
    """
    return parse_json(read_text(path, advice, error=error, most=MOST_BYTES), shape, f"'{path}'", advice, error=error)


def parse_json(
    text: str | bytes, shape: Any, where: str, advice: str, *, error: type[KdcliError] = DataError,
    infinite: bool = False,
) -> Any:
    """Parse JSON of a shape; ``where`` names it in messages. infinite: numbers may be.

    Raises:
        KdcliError: of the class ``error``: no JSON, nested too deeply, not-a-number, or of another shape.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as trouble:
        _refuse(f"{where} is damaged: {_why(trouble, 'JSON')}", advice, error)
    if wrong := unsound(document, infinite=infinite) or misfit(document, shape):
        _refuse(f"{where} is damaged: {wrong}", advice, error)
    return document


def parse_toml(text: str, where: str, advice: str = "", *, error: type[KdcliError]) -> dict[str, Any]:
    """Parse TOML; ``where`` names it in messages.

    Raises:
        KdcliError: of the class ``error``: no TOML, too large, nested too deeply, or not-a-number.
    """
    if len(text) > MOST_TEXT:
        _refuse(f"{where} is longer than {MOST_TEXT // 2**20} MiB", advice, error)
    if _LONG_KEY.search(text):
        _refuse(f"{where} has a key of more than {DEEPEST} parts", advice, error)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as trouble:
        _refuse(f"{where} is not TOML: {_why(trouble, 'TOML')}", advice, error)
    if wrong := unsound(document, infinite=True):
        _refuse(f"{where}: {wrong}", advice, error)
    return document


def literal(text: str) -> Any:
    """Return the TOML value that a text is, else the text: what follows ``=`` on the command line."""
    if _LONG_KEY.search(text):
        return text
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return text if document.keys() != {"value"} or unsound(document, infinite=True) else document["value"]


def unsound(document: Any, *, infinite: bool = False) -> str:
    """Return what no document of kdcli's holds but this one does; empty where there is nothing."""
    level, here = 0, [document]
    while here:
        if level > DEEPEST:
            return f"nested more than {DEEPEST} deep"
        inner: list[Any] = []
        for value in here:
            if isinstance(value, dict):
                inner.extend(value)
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
            elif isinstance(value, str):
                if "\0" in value:
                    return "a text holds NUL"
            elif isinstance(value, float):
                if math.isnan(value) or (math.isinf(value) and not infinite):
                    return f"{value} is no finite number"
            elif isinstance(value, int) and abs(value) > _GREATEST:
                return "a whole number has more than 64 bits"
        level, here = level + 1, inner
    return ""


def misfit(value: Any, shape: Any, at: str = "") -> str:
    """Return in words the first place at which a value is not of a shape; empty where it is."""
    if isinstance(shape, tuple):
        found = [misfit(value, one, at) for one in shape]
        return "" if "" in found else found[0]
    if shape is Any:
        return ""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return _not(value, "a table", at)
        for key, inner in shape.items():
            name = key.removesuffix("?")
            if name not in value:
                if not key.endswith("?"):
                    return f"{_join(at, name)} is missing"
            elif wrong := misfit(value[name], inner, _join(at, name)):
                return wrong
        return ""
    if isinstance(shape, Each):
        if not isinstance(value, dict):
            return _not(value, "a table", at)
        return next((wrong for key, one in value.items() if (wrong := misfit(one, shape.shape, _join(at, key)))), "")
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _not(value, "a list", at)
        if len(shape) > 1 and len(value) != len(shape):
            return f"{at or 'the whole'} has {len(value)} entries, not {len(shape)}"
        pairs = enumerate(zip(value, shape if len(shape) > 1 else shape * len(value), strict=True))
        return next((wrong for i, (one, inner) in pairs if (wrong := misfit(one, inner, f"{at}[{i}]"))), "")
    if shape is None:
        return "" if value is None else _not(value, "null", at)
    if shape is float:
        return "" if type(value) in (int, float) else _not(value, "a number", at)
    return "" if type(value) is shape else _not(value, _SORTS[shape], at)


_SORTS = {str: "a text", int: "a whole number", bool: "true or false", dict: "a table", list: "a list"}


def _join(at: str, key: object) -> str:
    name = str(key) if len(str(key)) <= 60 else f"{str(key)[:57]}..."
    return f"{at}.{name}" if at else name


def _not(value: Any, wanted: str, at: str) -> str:
    told = next((name for kind, name in {float: "a number", **_SORTS}.items() if type(value) is kind), "null")
    return f"{at or 'the whole'} is {told}, not {wanted}"


def _why(trouble: Exception, form: str) -> str:
    if isinstance(trouble, RecursionError):
        return "nested too deeply"
    told = " ".join(str(trouble).split())
    return told[:120] or f"no {form}"


def _refuse(what: str, advice: str, error: type[KdcliError]) -> NoReturn:
    raise error(f"{what}; {advice}" if advice else what) from None
