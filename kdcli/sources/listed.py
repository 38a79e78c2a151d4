"""Those of the images that a layout found which a list names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kdcli.errors import DataError
from kdcli.sources.lists import Locator, find_list
from kdcli.sources.pairs import Pair
from kdcli.sources.texts.headers import about_header
from kdcli.sources.texts.lines import Line
from kdcli.sources.texts.many_lines import read_list
from kdcli.types import Finding


def only_listed(pairs: Sequence[Pair], given: str | None, root: Path) -> Sequence[Pair]:
    """Return the pairs that a list names, in its order; all of them with None.

    given: the list, as written or below the root. An image is named as its id is, or by its whole path. Where a pair
    has no depth, mask or focal length, the list's is taken.

    Raises:
        DataError: the list cannot be read, or names what is not there.
    """
    if given is None:
        return pairs
    path = find_list(root, given, None)
    assert path is not None
    known = {pair.id: i for i, pair in enumerate(pairs)}
    locate, whole = Locator((root,)), dict[str, int]()
    found = []
    for line in read_list(path):
        place = known.get(line.image.lstrip("/"))
        if place is None:
            whole = whole or {Path(str(pair.image)).absolute().as_posix(): i for i, pair in enumerate(pairs)}
            place = whole.get(line.image)
        if place is None:
            raise DataError(
                f"'{path}' line {line.number} names '{line.image}', which is none of the {len(pairs)} images of "
                f"'{root}', such as '{pairs[0].id}'; give the right folder (recursive=true for sub-folders) or list"
            )
        found.append(_completed(pairs[place], line, locate))
    return found


def about_listed(given: str | None, root: Path) -> list[Finding]:
    """Say what is doubtful about a list that was read."""
    path = find_list(root, given, None) if given is not None else None
    return [] if path is None else about_header(path)


def _completed(pair: Pair, line: Line, locate: Locator) -> Pair:
    if pair.depth is None and line.depth is not None:
        mask = None if line.mask is None else Path(locate(line.mask))
        pair = replace(pair, depth=Path(locate(line.depth)), mask=mask)
    return pair if pair.focal is not None or line.focal is None else replace(pair, focal=line.focal)
