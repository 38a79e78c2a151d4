"""Pairs of a tree by one rule, from the path of an image to the paths that its depth may have.

Paths are strings relative to the root, with ``/``: trees have a hundred thousand of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from kdcli.errors import DataError
from kdcli.sources.listing import is_hidden, is_own_folder, natural_key
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair

Rule = Callable[[str], Sequence[str] | None]
"""Paths that the depth of an image may have, the preferred first; None for a file that is no image of the set."""

_LEVELS = 12


def names_below(root: Path, endings: Collection[str]) -> list[str]:
    """Return the files below a root with one of the endings (lower case), in natural order.

    Hidden files and what kdcli wrote are left out. Links to folders are followed, but not back to where they came from.
    """
    wanted = tuple(endings)
    found = (name for name in _walk(root, "", (os.path.realpath(root),)) if name.lower().endswith(wanted))
    return sorted(found, key=natural_key)


def _walk(root: Path, at: str, above: tuple[str, ...]) -> Iterator[str]:
    below = []
    with os.scandir(root / at) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if _is_folder(entry):
                below.append((f"{at}{entry.name}/", entry.is_symlink()))
            else:
                yield at + entry.name
    for way, link in below:
        real = os.path.realpath(root / way) if link else f"{above[-1]}/{way.split('/')[-2]}"
        if len(above) < _LEVELS and real not in above and not is_own_folder(root / way):
            with suppress(OSError):  # a folder that we may not read holds nothing for us
                yield from _walk(root, way, (*above, real))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, a disk that does not answer
        return False


def pairs_by_rule(
    root: Path, names: Iterable[str], rule: Rule, *, wanted: str, left: LeftOut, depths: Callable[[str], bool],
    ids: Callable[[str], str | None] = lambda image: None,
) -> list[Pair]:
    """Return the images of a tree with the depth and the object ids that are there.

    wanted: what the tree should hold, for the message. depths: which names are depth; those without an image are noted
    in ``left``. ids: path that the object ids of an image have.

    Raises:
        DataError: there is no image.
    """
    listed = dict.fromkeys(names)
    found: list[Pair] = []
    used: set[str] = set()
    for name in listed:
        candidates = rule(name)
        if candidates is None:
            continue
        depth = next((path for path in candidates if path in listed), None)
        objects = ids(name)
        if depth is not None:
            used.add(depth)
        found.append(
            Pair(
                id=name, image=root / name, depth=None if depth is None else root / depth,
                instances=root / objects if objects is not None and objects in listed else None,
            )
        )
    if not found:
        raise DataError(f"'{root}' has no {wanted}; unpack the data there or give the folder that holds it")
    left.depths += [str(root / name) for name in listed if depths(name) and name not in used]
    return found
