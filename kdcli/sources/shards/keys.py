"""Which files of a tar are one sample: those of one key, the name up to its first dot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kdcli.errors import DataError
from kdcli.images import DEPTH_SUFFIXES, IMAGE_SUFFIXES
from kdcli.sources.listing import natural_key
from kdcli.sources.shards.headers import Headers

Group = dict[str, int]
"""Suffix -> position among the headers."""

_PIXELS = IMAGE_SUFFIXES | DEPTH_SUFFIXES


def key_of(name: str) -> tuple[str, str] | None:
    """Return key and suffix of a name, ``a/000123`` and ``rgb.jpg``; None for one that is no part of a sample."""
    clean = name.removeprefix("./")
    folder, _, file = clean.rpartition("/")
    stem, dot, suffix = file.partition(".")
    if not stem or not dot or not suffix or stem.startswith("__"):
        return None
    return (f"{folder}/{stem}" if folder else stem), suffix


def count_suffixes(archive: Path, headers: Headers) -> Counter[str]:
    """Return how many files have each suffix.

    Raises:
        DataError: names with dots in what should be the key, whose samples would become one.
    """
    counts: Counter[str] = Counter()
    for name in headers.names:
        if (parts := key_of(name)) is not None:
            _check(archive, name, parts[1])
            counts[parts[1]] += 1
    return counts


def groups_of(archive: Path, headers: Headers) -> Iterator[tuple[str, Group]]:
    """Yield the samples of a tar, their keys in natural order.

    Raises:
        DataError: a file that is there twice.
    """
    groups: dict[str, Group] = {}
    for at, name in enumerate(headers.names):
        if (parts := key_of(name)) is None:
            continue
        key, suffix = parts
        group = groups.setdefault(key, {})
        if suffix in group:
            raise DataError(f"'{archive}:{name}' is there twice; keys must differ, pack the shard again")
        group[suffix] = at
    for key in sorted(groups, key=natural_key):
        yield key, groups[key]


def _check(archive: Path, name: str, suffix: str) -> None:
    words = suffix.split(".")
    pixels = f".{words[-1].lower()}" in _PIXELS
    if len(words) > 1 and (any(word.isdecimal() for word in words) or (pixels and len(words) > 2)):
        raise DataError(
            f"'{archive}:{name}' has dots in its name beyond KEY.jpg or KEY.rgb.jpg: a key ends at the first dot, so "
            "that different images would become one sample; pack the shard again with other signs in the keys"
        )
