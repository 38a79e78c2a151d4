"""TUM RGB-D: a folder a sequence, files called by time stamps, and lists that associate them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from kdcli.convert.layouts.layout import Item, Layout, Row, Told, matrix
from kdcli.convert.names import folder_of, names_of

RATE = 30
"""Images a second that time stamps are made of; nobody knows when they were taken."""
_ROOT = "sequence"


class Tum(Layout):
    """``rgb`` and ``depth`` with ``rgb.txt``, ``depth.txt`` and ``associations.txt``; units of 1/5000 m, which readers
    take for granted."""

    name: ClassVar[str] = "tum"
    images: ClassVar[Literal["jpg", "png"]] = "png"
    depths: ClassVar[tuple[str, ...]] = ("png",)
    scales: ClassVar[tuple[float, ...]] = (5000.0,)
    splits: ClassVar[bool] = False

    def names(self, ids: Sequence[str | None]) -> list[str]:
        """Return a time stamp for each image, behind the folder that it was in."""
        folders = [folder_of(name) for name in names_of(ids)]
        alone, seen, names = len(set(folders)) == 1, dict[str, int](), list[str]()
        for folder in folders:
            place = "" if alone else f"{folder or _ROOT}/"
            names.append(f"{place}{seen.get(folder, 0) / RATE:.6f}")
            seen[folder] = seen.get(folder, 0) + 1
        return names

    def files(self, item: Item, several: bool) -> dict[str, bytes]:
        """Return depth and picture."""
        assert item.depth is not None
        path = PurePosixPath(item.name)
        return {
            f"{path.parent / 'depth' / path.name}.png": item.depth,
            f"{path.parent / 'rgb' / path.name}.{item.ending}": item.picture,
        }

    def lists(self, told: Told) -> dict[str, str]:
        """Return the three lists of each sequence, and its camera where all of its images have one."""
        sequences: dict[str, list[Row]] = {}
        for row in told.rows:
            sequences.setdefault(folder_of(row.name), []).append(row)
        texts = {}
        for folder, rows in sequences.items():
            place = PurePosixPath(folder)
            files = [[PurePosixPath(file).relative_to(place) for file in row.files] for row in rows]
            stamps = [PurePosixPath(row.name).name for row in rows]
            for number, about in ((1, "rgb"), (0, "depth")):
                lines = [f"{stamp} {file[number]}" for stamp, file in zip(stamps, files, strict=True)]
                title = f"# {about} images, {RATE} a second\n# timestamp filename\n"
                texts[str(place / f"{about}.txt")] = title + "\n".join(lines) + "\n"
            both = [f"{stamp} {file[1]} {stamp} {file[0]}" for stamp, file in zip(stamps, files, strict=True)]
            texts[str(place / "associations.txt")] = "\n".join(both) + "\n"
            if (camera := matrix(rows)) is not None:
                texts[str(place / "camera-intrinsics.txt")] = camera
        return texts

    def spec(self, out: Path, told: Told) -> str:
        """Return the source."""
        scale = "" if told.scale in (None, *self.scales) else f",scale={told.scale:g}"
        return f"rgbd:{out}{scale}"
