"""List files of image and ground truth, one item a line, and finding what they name below a root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdcli.errors import ConfigError, DataError
from kdcli.sources.pairs import Pair

LIST_PATTERN = "*_files_with_gt.txt"
"""Name of the list files that are found without being asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a list: relative paths of image and ground truth (None = there is none), focal length in pixels."""

    image: str
    depth: str | None
    focal: float | None


def read_list(path: Path) -> list[Line]:
    """Read lines of ``image [depth|None [focal]]``; empty lines and ``#`` comments are skipped.

    Raises:
        DataError: the file is missing, empty, no text, or a line does not have this form.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"list '{path}' cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise DataError(f"list '{path}' is not text; give a file with lines of 'image depth focal'") from None
    lines = []
    for number, row in enumerate(text.splitlines(), 1):
        words = row.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 3:
            raise DataError(f"'{path}' line {number} has {len(words)} words; write 'image depth focal'")
        try:
            focal = float(words[2]) if len(words) > 2 else None
        except ValueError:
            raise DataError(f"'{path}' line {number} has focal length '{words[2]}'; write a number of pixels") from None
        depth = words[1] if len(words) > 1 and words[1].lower() != "none" else None
        lines.append(Line(image=words[0], depth=depth, focal=focal))
    if not lines:
        raise DataError(f"list '{path}' names no image; write lines of 'image depth focal'")
    return lines


def existing_root(location: str) -> Path:
    """Return the folder of a location.

    Raises:
        DataError: it does not exist or is no folder.
    """
    root = Path(location).expanduser()
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
        for path in (Path(given).expanduser(), root / given):
            if path.is_file():
                return path
        raise DataError(f"list '{given}' exists neither as written nor in '{root}'; check the path")
    found = sorted(root.glob(LIST_PATTERN))
    if split is not None:
        neutral = [path for path in found if not any(word in path.name for word in ("train", "test", "val"))]
        found = [path for path in found if split in path.name] or neutral
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ConfigError(f"'{root}' has {len(found)} lists: {names}; choose one with list=FILE or split=")
    return found[0] if found else None


def require_some(pairs: Sequence[Pair], root: Path, remedy: str) -> None:
    """Refuse a list of which nothing is there, which means that the root is wrong; up to 64 are looked at.

    Raises:
        DataError: none of the images, or none of the depth maps, exists.
    """
    for what, paths in (
        ("images", [pair.image for pair in pairs]),
        ("depth maps", [pair.depth for pair in pairs if pair.depth is not None]),
    ):
        looked = paths[:: max(1, len(paths) // 64)]
        if looked and not any(path.exists() for path in looked):
            raise DataError(
                f"none of the {what} that the list names is below '{root}', such as '{looked[0]}'; "
                f"give the right folder or {remedy}"
            )


class Locator:
    """Turns relative paths of a list into real ones by trying several bases, once per folder."""

    def __init__(self, bases: Sequence[Path]) -> None:
        self.bases = tuple(bases)
        self._folders: dict[str, Path] = {}

    def __call__(self, relative: str) -> Path:
        """Return where a path of a list is; below the first base when nowhere, for the message that it is missing."""
        clean = relative.lstrip("/")
        folder, _, file = clean.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._find(relative, folder, file)
        return self._folders[folder] / file

    def _find(self, relative: str, folder: str, file: str) -> Path:
        hits = [base / folder for base in self.bases if (base / folder).is_dir()]
        # Another tree may have a folder of that name too: the one with the file is meant.
        for hit in hits:
            if (hit / file).is_file():
                return hit
        absolute = Path(relative).parent
        if relative.startswith("/") and absolute.is_dir():
            return absolute
        return hits[0] if hits else self.bases[0] / folder
