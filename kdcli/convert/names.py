"""What written files are called: as the source calls its images, in signs that every tool reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from kdcli.images import IMAGE_SUFFIXES
from kdcli.sources.roles import Role, bare, role_of

_SIGN = re.compile(r"[^\w-]+", re.ASCII)
_MAPS = (Role.DEPTH, Role.DISPARITY, Role.MASK, Role.OTHER)
_LONGEST = 100
"""Letters of one part of a name: with endings it stays below what file systems allow."""


def names_of(ids: Sequence[str | None]) -> list[str]:
    """Return a name without ending for each image: its id, folders included, else its number.

    Folders that only say that images are in them are left out. Names are different also where a file system takes
    capitals for small letters, and no name looks like that of a mask or of another map.
    """
    names, taken = list[str](), set[str]()
    for number, known in enumerate(ids):
        name = (_name(known) if known else "") or f"{number:06d}"
        if role_of(name.rpartition("/")[2]) in _MAPS:
            name = "/".join([*name.split("/")[:-1], f"{number:06d}"])
        while name.casefold() in taken:
            name = f"{name}-{number:06d}"
        taken.add(name.casefold())
        names.append(name)
    return names


def folder_of(name: str) -> str:
    """Return the folder of a name; empty for one without."""
    return name.rpartition("/")[0]


def _name(known: str) -> str:
    path = PurePosixPath(known.replace("\\", "/"))
    last = path.name
    while (dot := last.rfind(".")) > 0 and last[dot:].lower() in IMAGE_SUFFIXES:
        last = last[:dot]
    folders = [_part(part) for part in path.parts[:-1] if part not in ("/", "..", ".") and bare(part)]
    stem = _part(last)
    return "/".join([*filter(None, folders), stem]) if stem else ""


def _part(text: str) -> str:
    # No dots: to webdataset and its kin all behind the first one is the ending.
    part = _SIGN.sub("_", text).strip("_-")[-_LONGEST:]
    # libreyolo looks for depth below 'depths' wherever a part of a path begins with 'images'.
    return f"x{part}" if part.lower().startswith("images") else part
