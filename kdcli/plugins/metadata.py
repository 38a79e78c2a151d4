"""Read the entry points of what is installed, one distribution at a time: a damaged one costs only itself.

``importlib.metadata.entry_points`` reads all at once and raises for all. Nothing is imported here but finders that
Python has loaded anyway.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from typing import Any

from kdcli.text import line as plain

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_VALUE = re.compile(r"[\w.]+\s*(:\s*[\w.]+\s*)?(\[.*\]\s*)?")
_NO_POINT = re.compile(r"^[ \t]*(?![#;\[\s])[^=\n]+$", re.MULTILINE)
_LONGEST = 100
"""Characters of a name or version that anybody would type or read."""
_LARGEST = 2**20
"""Bytes of an ``entry_points.txt`` that is read; the largest in the wild have some ten thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One entry point, its name and value as they stand there."""

    group: str
    name: str
    value: str
    distribution: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A distribution of which something could not be read. ours: whether it speaks of kdcli's groups."""

    distribution: str
    version: str
    reason: str
    ours: bool = True


@dataclass(slots=True)
class Reading:
    """What was read, in the order of ``sys.path``, and what was not."""

    points: list[Point]
    unreadable: list[Unreadable]


def read(prefix: str) -> Reading:
    """Read the entry points whose group begins with ``prefix``. Never raises.

    The first folder on ``sys.path`` that has a distribution counts, as it does for an import; of two versions in that
    folder the newer one.
    """
    reading = Reading([], [])
    chosen: dict[str, tuple[str, str, Any]] = {}
    for distribution in _distributions(reading):
        folder, name, version = _place(distribution)
        known = chosen.get(name)
        if known is not None and folder and known[0] == folder and known[1] != version:
            older, newer = sorted([known[1], version], key=_ordered)
            reason = f"versions {plain(older, 40)} and {plain(newer, 40)} lie side by side; reinstall it"
            reading.unreadable.append(Unreadable(distribution=name, version=newer, reason=reason, ours=False))
            if version != newer:
                continue
        elif known is not None:
            continue
        chosen[name] = (folder, version, distribution)
    for name, (_, version, distribution) in chosen.items():
        _read_one(distribution, name, version, prefix, reading)
    return reading


def malformed(value: str) -> str | None:
    """Return what is wrong with an entry point's value as text; None where it is ``MODULE:FACTORY`` or a module."""
    return None if _VALUE.fullmatch(value.strip()) else f"entry point '{plain(value, 60)}' is not MODULE:FACTORY"


def normal(name: str) -> str:
    """Return the one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions(reading: Reading) -> Iterator[Distribution]:
    for finder in list(sys.meta_path):
        find = getattr(finder, "find_distributions", None)
        if find is None:
            continue
        try:
            yield from list(find(DistributionFinder.Context()))
        except Exception as error:  # somebody's import hook
            who = plain(getattr(finder, "__name__", type(finder).__name__), _LONGEST)
            reading.unreadable.append(Unreadable(distribution=who, version="0", reason=_said(error), ours=False))


def _place(distribution: Distribution) -> tuple[str, str, str]:
    """Return folder, normal name and version as the name of the metadata's folder tells them; it costs no reading."""
    path = getattr(distribution, "_path", None)
    if path is None:
        return "", *_told(distribution, "unknown", "0")
    folder, _, leaf = str(path).replace("\\", "/").rstrip("/").rpartition("/")
    name, _, version = leaf.rpartition(".")[0].partition("-")
    return folder, _usable(normal(name)), version.partition("-")[0] or "0"


def _read_one(distribution: Distribution, name: str, version: str, prefix: str, reading: Reading) -> None:
    ours, reason = False, None
    try:
        text = _text(distribution)
        ours = prefix in text
        found, reason = _parsed(text, prefix)
    except Exception as error:
        found, reason = [], _said(error)
        ours = ours or _mentions(distribution, prefix)
    if ours and found:
        try:
            name, version = _told(distribution, name, version, strict=True)
        except Exception as error:
            reason = reason or f"METADATA cannot be read ({_said(error)}); name and version are those of its folder"
    version = plain(version, _LONGEST) or "0"
    reading.points += [Point(group=g, name=n, value=v, distribution=name, version=version) for g, n, v in found]
    if reason is not None:
        reason = f"{plain(reason, 300)}; reinstall or uninstall it"
        reading.unreadable.append(Unreadable(distribution=name, version=version, reason=reason, ours=ours))


def _text(distribution: Distribution) -> str:
    """Return ``entry_points.txt``; empty where there is none.

    Raises:
        OSError, ValueError: there is one, or a whole folder, that cannot be read.
    """
    path = getattr(distribution, "_path", None)
    if not isinstance(path, Path):
        return distribution.read_text("entry_points.txt") or ""
    if path.is_file():  # what setuptools of long ago left: metadata in one file, without entry points
        return ""
    try:
        with (path / "entry_points.txt").open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError:
        os.scandir(path).close()  # it raises where the folder itself is the trouble
        return ""
    if len(raw) > _LARGEST:
        raise ValueError(f"entry_points.txt has more than {_LARGEST:,} bytes")
    return raw.decode("utf-8")


def _parsed(text: str, prefix: str) -> tuple[list[tuple[str, str, str]], str | None]:
    """Return group, name and value of our lines, and what is wrong with the first line that is no entry point."""
    found, group, reason = [], "", None
    if prefix not in text and _NO_POINT.search(text) is None:
        return [], None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            group = line.strip("[] \t")
            continue
        name, sign, value = (part.strip() for part in line.partition("="))
        wrong = None
        if not sign:
            wrong = f"line {number} of entry_points.txt, '{plain(line, 60)}', is not NAME = MODULE:FACTORY"
        elif group.startswith(prefix):
            if len(name) > _LONGEST or not _NAME.fullmatch(name):
                wrong = f"entry point '{plain(name, 60)}' has a name that nobody can write in a spec"
            else:
                found.append((group, name, plain(value, 2 * _LONGEST)))
        reason = reason or wrong
    return found, reason


def _told(distribution: Distribution, name: str, version: str, *, strict: bool = False) -> tuple[str, str]:
    """Return the normal name and version that the metadata tell; otherwise those given.

    Raises:
        Exception: the metadata cannot be read, and ``strict`` is set.
    """
    try:
        told = distribution.metadata
        own, edition = told["Name"], told["Version"]
    except Exception:
        if strict:
            raise
        return name, version
    if strict and not own:
        raise ValueError("it has no Name")
    return _usable(normal(own), name) if own else name, edition or version


def _usable(name: str, otherwise: str = "unknown") -> str:
    return name if len(name) <= _LONGEST and _NAME.fullmatch(name) else otherwise


def _mentions(distribution: Distribution, prefix: str) -> bool:
    """Whether a damaged file speaks of our groups all the same."""
    try:
        with (distribution._path / "entry_points.txt").open("rb") as file:  # type: ignore[attr-defined]
            return prefix.encode() in file.read(_LARGEST)
    except Exception:
        return False


def _ordered(version: str) -> list[tuple[int, str]]:
    return [(int(number or 0), word) for number, word in re.findall(r"(\d+)|([a-z]+)", version.lower()[:_LONGEST])]


def _said(error: BaseException) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"entry_points.txt or METADATA is not UTF-8 at byte {error.start}"
    if isinstance(error, OSError):
        return f"{error.strerror or type(error).__name__}: {error.filename}"
    return plain(f"{type(error).__name__}: {error}", 300)
