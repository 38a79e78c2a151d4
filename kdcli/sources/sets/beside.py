"""Depth in a folder beside ``images``: the last part of a path that is called so is replaced, and the ending."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from kdcli.errors import DataError
from kdcli.sources.sets.frames import names_in

ENDINGS = (".png", ".npy", ".tif", ".tiff")
"""Of depth files, the preferred one first."""


class Beside:
    """Finds the depth map and the mask of images; every folder is listed once.

    depths: the folder that stands for ``images``. stems: what a depth file has behind the image's name. mask: what a
    mask has behind that.
    """

    def __init__(self, *, depths: str, stems: Sequence[str], mask: str) -> None:
        self.depths = depths
        self._ends = [
            (stem + ending, [stem + mask + other for other in ENDINGS]) for stem in stems for ending in ENDINGS
        ]
        self._folders: dict[str, tuple[str, frozenset[str]]] = {}
        self._used: dict[str, set[str]] = {}

    def of(self, image: str) -> tuple[str | None, str]:
        """Return what the depth map of an image and its mask have in place of its ending.

        None where there is no map, and nothing where there is no mask.

        Raises:
            DataError: the image is in no folder ``images``.
        """
        cut = image.rfind(os.sep) + 1
        base, names = self._folder(image[:cut])
        stem = image[cut : image.rfind(".")]
        for end, masks in self._ends:
            if stem + end in names:
                mask = next((other for other in masks if stem + other in names), "")
                self._used[base].update((stem + end, stem + mask))
                return end, mask
        return None, ""

    def wanted(self, image: str) -> str:
        """Return what the depth map of an image would be called."""
        path = Path(image)
        return f"{self._folder(f'{path.parent}{os.sep}')[0]}{path.stem}.png"

    def rest(self) -> Iterator[str]:
        """Return the depth files that no image was found for, in the folders that were looked into."""
        for base, names in self._folders.values():
            maps = (name for name in names - self._used[base] if name.endswith(ENDINGS))
            yield from (base + name for name in sorted(maps))

    def _folder(self, folder: str) -> tuple[str, frozenset[str]]:
        if folder not in self._folders:
            base = depths_of(folder, self.depths)
            self._folders[folder] = base, names_in(base)
            self._used.setdefault(base, set())
        return self._folders[folder]


def depths_of(folder: str, depths: str) -> str:
    """Return a folder, which ends in a separator, with its last part ``images`` replaced.

    Raises:
        DataError: it has no such part.
    """
    before, found, after = f"{os.sep}{folder}".rpartition(f"{os.sep}images{os.sep}")
    if not found:
        raise DataError(
            f"'{folder}' is in no folder called images, beside which depth would be; move the images into one or take "
            "folder: with depths="
        )
    return f"{before}{os.sep}{depths}{os.sep}{after}"[1:]
