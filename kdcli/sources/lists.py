"""List files of image and ground truth, one item a line, and finding what they name below a root."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kdcli.errors import ConfigError, DataError
from kdcli.files import at_home
from kdcli.sources.file_names import prefix_of
from kdcli.sources.listing import is_hidden
from kdcli.sources.table.pair_table import PairTable, Rows
from kdcli.sources.texts.headers import about_header
from kdcli.sources.texts.lines import FORM, Line
from kdcli.sources.texts.many_lines import read_list
from kdcli.types import Finding

_DRIVE = re.compile(r"^[A-Za-z]:(?=/)")
_AT_ONCE = 4096
LIST_PATTERN = "*_files_with_gt.txt"
"""Name of the list files that are found without being asked for."""


def existing_root(location: str) -> Path:
    """Return the folder of a location.

    Raises:
        DataError: it does not exist or is no folder.
    """
    root = at_home(location)
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"'{location}' {what}; give the folder of the data set")
    return root


def find_list(root: Path, given: str | None, split: str | None) -> Path | None:
    """Return the list file: the given one (as written, or below the root), else the only fitting one in the root.

    Raises:
        DataError: the given one does not exist. ConfigError: several fit.
    """
    if given is not None:
        for path in (at_home(given), root / given):
            if path.is_file():
                return path
        raise DataError(f"list '{given}' exists neither as written nor in '{root}'; check the path")
    found = sorted(path for path in root.glob(LIST_PATTERN) if not is_hidden(path.name))
    if split is not None:
        neutral = [path for path in found if not any(word in path.name for word in ("train", "test", "val"))]
        found = [path for path in found if split in path.name] or neutral
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ConfigError(f"'{root}' has {len(found)} lists: {names}; choose one with list=FILE or split=")
    return found[0] if found else None


def require_some(pairs: PairTable, root: Path, remedy: str) -> None:
    """Refuse a list of which nothing is there, which means that the root is wrong.

    Raises:
        DataError: none of the images, or none of the depth maps, exists.
    """
    for what, part in (("images", "image"), ("depth maps", "depth")):
        first = next(pairs.paths(part), None)
        if first is not None and not any(os.path.exists(path) for path in pairs.paths(part)):  # noqa: PTH110
            raise DataError(
                f"none of the {what} that the list names is below '{root}', such as '{first}'; "
                f"give the right folder or {remedy}"
            )


class Locator:
    """Turns relative paths of a list into real ones by trying several bases for each; folders are read once.

    endings: other endings that a file may have instead, lower case: many keep raw images converted to save space.
    beside: another one, whose folders need not be read again.
    """

    def __init__(self, bases: Sequence[Path], *, endings: Iterable[str] = (), beside: Locator | None = None) -> None:
        self.bases = tuple(bases)
        self.moved: list[tuple[str, str]] = []
        """Absolute paths that are not there, and what was found below a base by their last parts."""
        self._taken: dict[str, str] = {}
        self._endings = frozenset(endings)
        self._names: dict[str, frozenset[str]] = {} if beside is None else beside._names
        self._holding: dict[str, list[Path]] = {}
        self._stems: dict[str, dict[str, list[str]]] = {}
        self._places: dict[str, list[tuple[str, frozenset[str]]]] = {}

    def __call__(self, relative: str) -> str:
        """Return where a path of a list is; below the first base when nowhere, for the message that it is missing.

        Raises:
            DataError: it is of another machine, and what is left of it means the same file as another path.
        """
        cut = relative.rfind("/") + 1
        folder, file = relative[:cut], relative[cut:]
        places = self._places.get(folder)
        if places is None:
            places = self._places[folder] = self._places_of(folder)
        for place, names in places:
            if file in names:
                return place + file
        return self._sought(relative, file, places)

    def _places_of(self, folder: str) -> list[tuple[str, frozenset[str]]]:
        """Return where the files of a folder of the list may be, the likeliest place first, and what is there."""
        places = self._below(_relative(folder))
        if folder.startswith("/"):  # what a list calls absolute is more often below the root
            places = [*places, Path(folder)]
        return [(prefix_of(place), self._listed(prefix_of(place))) for place in places]

    def _sought(self, relative: str, file: str, places: Sequence[tuple[str, frozenset[str]]]) -> str:
        """Return where a path is that is in none of its places under its own name."""
        for place, _ in places:
            if (found := self._converted(place, file)) is not None:
                return found
        clean = _relative(relative)
        # Some tools take the back-slashes of an archive made on Windows for letters.
        name = clean.replace("/", "\\")
        for base in map(prefix_of, self.bases):
            if name in self._listed(base):
                return base + name
        folder = clean.rpartition("/")[0]
        if clean != relative and (moved := self._elsewhere(folder, file)) is not None:
            if (other := self._taken.setdefault(moved, clean)) != clean:
                raise DataError(
                    f"'{relative}' does not exist, and by its last parts it would be '{moved}', which is '/{other}' "
                    "already; give the folder that holds both, or correct the list"
                )
            self.moved.append((relative, moved))
            return moved
        existing = next((Path(place) for place, _ in places if Path(place).is_dir()), self.bases[0] / folder)
        return str(existing / file)

    def _elsewhere(self, folder: str, file: str) -> str | None:
        """Look for an absolute path of another machine by its last parts, at least a folder and the file."""
        parts = folder.split("/")
        for start in range(1, len(parts)):
            for place in map(prefix_of, self._below("/".join(parts[start:]))):
                if file in self._listed(place):
                    return place + file
        return None

    def _below(self, folder: str) -> list[Path]:
        """Return the folders of this relative path that exist below the bases."""
        if folder not in self._holding:
            self._holding[folder] = [base / folder for base in self.bases if (base / folder).is_dir()]
        return self._holding[folder]

    def _listed(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder or "."))  # noqa: PTH208 - names, not paths
            except OSError:
                self._names[folder] = frozenset()
        return self._names[folder]

    def _converted(self, folder: str, file: str) -> str | None:
        if not self._endings:
            return None
        if folder not in self._stems:
            stems: dict[str, list[str]] = defaultdict(list)
            for name in self._listed(folder):
                stem, ending = os.path.splitext(name)  # noqa: PTH122
                if ending.lower() in self._endings:
                    stems[stem].append(name)
            self._stems[folder] = stems
        others = self._stems[folder].get(os.path.splitext(file)[0], [])  # noqa: PTH122
        return folder + others[0] if len(others) == 1 else None


def _relative(path: str) -> str:
    """Return a path of a list without what makes it absolute."""
    return _DRIVE.sub("", path).lstrip("/")


def listed_pairs(
    lines: Sequence[Line], image_at: Callable[[str], str], depth_at: Callable[[str], str]
) -> PairTable:
    """Return the pairs that lines name, found by two locators."""
    rows = Rows()
    for at in range(0, len(lines), _AT_ONCE):
        some = lines[at : at + _AT_ONCE]
        masks: list[str | None] | None = None
        if any(line.mask for line in some):
            masks = [depth_at(line.mask) if line.mask and line.depth else None for line in some]
        rows.add(
            len(some), ids=[line.image.lstrip("/") for line in some], image=[image_at(line.image) for line in some],
            depth=[depth_at(line.depth) if line.depth else None for line in some], mask=masks,
            focal=[line.focal for line in some],
        )
    return rows.table()


def about_lines(path: Path | None, lines: Sequence[Line], locators: Sequence[Locator]) -> list[Finding]:
    """Say which files of a list are not used, and which were found at another place than it says."""
    if path is None:
        return []
    findings, where = about_header(path), str(path)
    more = [line for line in lines if line.others]
    if more:
        message = (
            f"{len(more)} lines of '{path}' name further files that are not used, such as '{more[0].others[0]}' in "
            f"line {more[0].number}; write {FORM}, or a mask with 'mask' in its name"
        )
        findings.append(Finding(level="warning", message=message, path=where))
    moved = [pair for locator in locators for pair in locator.moved]
    if moved:
        message = (
            f"{len(moved)} absolute paths of '{path}' do not exist, such as '{moved[0][0]}', and were found by their "
            f"last parts, here '{moved[0][1]}'"
        )
        findings.append(Finding(level="info", message=message, path=where))
    return findings


__all__ = [
    "LIST_PATTERN", "Line", "Locator", "about_lines", "existing_root", "find_list", "listed_pairs", "read_list",
    "require_some",
]
