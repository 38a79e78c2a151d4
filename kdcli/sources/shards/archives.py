"""Which tar files a location names: a file, a folder of them, a glob, ranges in braces."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from pathlib import Path

from kdcli.errors import DataError
from kdcli.files import at_home
from kdcli.sources.listing import is_hidden, list_files, natural_key

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST = 1_000_000


def find_archives(location: str) -> list[Path]:
    """Return the tar files of a location, those of a folder or a glob in natural order.

    ``train-{000000..000011}.tar`` counts from one number to the other, with as many digits; ``{a,b}`` is either.
    Several locations are set off by ``::``.

    Raises:
        DataError: none, or one that a range names is missing.
    """
    found: list[Path] = []
    for part in location.split("::"):
        named = list(_expanded(part))
        for name in named:
            path = at_home(name)
            if path.is_dir():
                found += list_files(path, {".tar"})
            elif path.exists():
                found.append(path)
            elif glob.has_magic(name):
                matches = sorted(glob.glob(str(path), recursive=True), key=natural_key)  # noqa: PTH207 - absolute too
                found += [path for match in matches if not is_hidden((path := Path(match)).name)]
            elif len(named) > 1:
                raise DataError(f"'{name}', one of {len(named)} shards of '{part}', does not exist; complete the "
                                "download or give those that are there")
            else:
                raise DataError(f"'{part}' does not exist; give tar files, a folder of them, or a name such as "
                                "'train-{000000..000011}.tar'")
    if not found:
        raise DataError(f"'{location}' names no tar file; give tar files, a folder of them, or a glob")
    return list(dict.fromkeys(found))


def _expanded(text: str) -> Iterator[str]:
    """Yield a name with every brace in it replaced.

    Raises:
        DataError: more names than any set has.
    """
    match = _BRACES.search(text)
    choices = None if match is None else _choices(match[1])
    if match is None or choices is None:
        yield text
        return
    for choice in choices:
        for rest in _expanded(text[match.end() :]):
            yield text[: match.start()] + choice + rest


def _choices(inner: str) -> list[str] | None:
    counted = _RANGE.fullmatch(inner)
    if counted is None:
        return inner.split(",") if "," in inner else None
    first, last = int(counted[1]), int(counted[2])
    if not 0 <= last - first < _MOST:
        raise DataError(f"'{{{inner}}}' counts from {first} to {last}; write the smaller number first, and at most "
                        f"{_MOST} of them")
    return [f"{number:0{len(counted[1])}}" for number in range(first, last + 1)]
