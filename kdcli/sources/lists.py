"""List files of image and ground truth, one item a line, and finding what they name below a root."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kdcli.errors import ConfigError, DataError
from kdcli.files import at_home
from kdcli.rasters import file_of
from kdcli.sources.listing import is_hidden
from kdcli.sources.pairs import Pair
from kdcli.sources.texts.headers import about_header
from kdcli.sources.texts.lines import FORM, Line, read_list
from kdcli.types import Finding

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


def require_some(pairs: Sequence[Pair], root: Path, remedy: str) -> None:
    """Refuse a list of which nothing is there, which means that the root is wrong.

    Raises:
        DataError: none of the images, or none of the depth maps, exists.
    """
    for what, paths in (
        ("images", [file_of(pair.image) for pair in pairs]),
        ("depth maps", [file_of(pair.depth) for pair in pairs if pair.depth is not None]),
    ):
        if paths and not any(path.exists() for path in paths):
            raise DataError(
                f"none of the {what} that the list names is below '{root}', such as '{paths[0]}'; "
                f"give the right folder or {remedy}"
            )


class Locator:
    """Turns relative paths of a list into real ones by trying several bases for each; folders are read once.

    endings: other endings that a file may have instead, lower case: many keep raw images converted to save space.
    """

    def __init__(self, bases: Sequence[Path], *, endings: Iterable[str] = ()) -> None:
        self.bases = tuple(bases)
        self.moved: list[tuple[str, Path]] = []
        """Absolute paths that are not there, and what was found below a base by their last parts."""
        self._endings = frozenset(endings)
        self._names: dict[Path, frozenset[str]] = {}
        self._holding: dict[str, list[Path]] = {}
        self._stems: dict[Path, dict[str, list[str]]] = {}

    def __call__(self, relative: str) -> Path:
        """Return where a path of a list is; below the first base when nowhere, for the message that it is missing."""
        drive = re.match(r"[A-Za-z]:/", relative)
        absolute = drive is not None or relative.startswith("/")
        clean = (relative[2:] if drive else relative).lstrip("/")
        folder, _, file = clean.rpartition("/")
        places = self._places(folder)
        if relative.startswith("/"):  # what a list calls absolute is more often below the root
            places = [*places, Path(relative).parent]
        for find in (self._same, self._converted):
            for place in places:
                if (found := find(place, file)) is not None:
                    return found
        for base in self.bases:  # unpacked by a tool that took the back-slashes of a Windows archive for letters
            if (found := self._same(base, clean.replace("/", "\\"))) is not None:
                return found
        if absolute and (found := self._elsewhere(folder, file)) is not None:
            self.moved.append((relative, found))
            return found
        existing = next((place for place in places if place.is_dir()), self.bases[0] / folder)
        return existing / file

    def _elsewhere(self, folder: str, file: str) -> Path | None:
        """Look for an absolute path of another machine by its last parts, at least a folder and the file."""
        parts = folder.split("/")
        for start in range(1, len(parts)):
            for place in self._places("/".join(parts[start:])):
                if (found := self._same(place, file)) is not None:
                    return found
        return None

    def _places(self, folder: str) -> list[Path]:
        """Return the folders of this relative path that exist below the bases."""
        if folder not in self._holding:
            self._holding[folder] = [base / folder for base in self.bases if (base / folder).is_dir()]
        return self._holding[folder]

    def _listed(self, folder: Path) -> frozenset[str]:
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))  # noqa: PTH208 - names, not paths
            except OSError:
                self._names[folder] = frozenset()
        return self._names[folder]

    def _same(self, folder: Path, file: str) -> Path | None:
        return folder / file if file in self._listed(folder) else None

    def _converted(self, folder: Path, file: str) -> Path | None:
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
        return folder / others[0] if len(others) == 1 else None


def listed_pairs(
    lines: Sequence[Line], image_at: Callable[[str], Path], depth_at: Callable[[str], Path]
) -> list[Pair]:
    """Return the pairs that lines name, found by two locators."""
    return [
        Pair(
            id=line.image.lstrip("/"), image=image_at(line.image), focal=line.focal,
            depth=None if line.depth is None else depth_at(line.depth),
            mask=None if line.depth is None or line.mask is None else depth_at(line.mask),
        )
        for line in lines
    ]


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
