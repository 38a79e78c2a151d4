"""Where the bytes or the numbers of one item are: a file, a file inside a tar, or an array inside a file of arrays.

Whoever decodes takes a ``Place`` and asks it for a stream, so that a picture is read alike wherever it lies.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from kdcli.errors import DataError
from kdcli.files import LFS_BEGINS


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside an uncompressed tar. offset, size: of its bytes in the archive."""

    archive: Path
    inner: str
    offset: int
    size: int

    @property
    def name(self) -> str:
        """The last part of its name."""
        return PurePosixPath(self.inner).name

    @property
    def stem(self) -> str:
        """Its name without ending."""
        return PurePosixPath(self.inner).stem

    @property
    def suffix(self) -> str:
        """The ending of its name, with the dot."""
        return PurePosixPath(self.inner).suffix

    def __str__(self) -> str:
        return f"{self.archive}:{self.inner}"


@dataclass(frozen=True, slots=True)
class Element:
    """An array inside an HDF5 or MATLAB file, or one of the arrays that are stacked in it or in an NPY file.

    key: its name, empty for NPY; the parts of a path inside HDF5 are set off by ``/``, the fields of a MATLAB struct by
    ``.``. index: position on its first axis; None = all of it. transposed: whether the array has columns before rows,
    as those of MATLAB 7.3 have.
    """

    file: Path
    key: str
    index: int | None = None
    transposed: bool = False

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.file.name

    @property
    def stem(self) -> str:
        """The name of the file without ending."""
        return self.file.stem

    @property
    def suffix(self) -> str:
        """The ending of the file's name, with the dot."""
        return self.file.suffix

    def __str__(self) -> str:
        return f"{self.file}:{self.key}" + ("" if self.index is None else f"[{self.index}]")


Place = Path | Member | Element


def file_of(place: Place) -> Path:
    """Return the file on disk that a place is in."""
    if isinstance(place, Member):
        return place.archive
    return place.file if isinstance(place, Element) else place


def ending_of(place: Place) -> str:
    """Return the ending of a place's file in lower case, with the dot."""
    return place.suffix.lower()


def size_of(place: Place) -> int:
    """Return how many bytes a place has; of an element, those of its file."""
    return place.size if isinstance(place, Member) else file_of(place).stat().st_size


def open_place(place: Place) -> IO[bytes]:
    """Return a stream of the bytes of a file or of a member of a tar.

    Raises:
        DataError: an element, which has no bytes of its own, an archive that ends before its member does, or a Git LFS
            pointer that was packed into it.
    """
    if isinstance(place, Member):
        with place.archive.open("rb") as stream:
            stream.seek(place.offset)
            content = stream.read(place.size)
        if len(content) < place.size:
            raise DataError(f"'{place}' is truncated: the archive ends within it; download '{place.archive}' again")
        if content.startswith(LFS_BEGINS):
            raise DataError(f"'{place}' is a Git LFS pointer, not the file; run 'git lfs pull', then pack it again")
        return io.BytesIO(content)
    if isinstance(place, Element):
        raise DataError(f"'{place}' is an array, not a picture file; check the layout")
    return place.open("rb")
