"""What every layout says: how its files are called, what stands beside them, and how they are read back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from kdcli.cameras import Camera
from kdcli.convert.names import names_of

TRAIN, VAL = "train", "val"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image as bytes. form: how its depth is stored. facts: ``id``, ``height``, ``width``, ``intrinsics`` in pixels
    or None, and of depth ``depth_scale`` and ``depth_kind``."""

    name: str
    split: str
    picture: bytes
    ending: str
    depth: bytes | None
    form: str
    ids: bytes | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a conversion remembers of an image that is written."""

    id: str
    name: str
    split: str
    files: tuple[str, ...]
    """Relative paths; of a shard its members."""
    camera: Camera | None = None
    far: float | None = None
    beyond: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A whole conversion, for what is written at its end."""

    rows: Sequence[Row]
    ending: str
    form: str
    scale: float | None
    far: float | None
    """Metres of the furthest depth that is written."""
    several: bool
    """Whether there are images to measure on beside those to train on."""
    shards: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def of(self, split: str) -> list[Row]:
        """Return the images of a split."""
        return [row for row in self.rows if row.split == split]


class Layout(ABC):
    """A layout of files."""

    name: ClassVar[str]
    images: ClassVar[Literal["jpg", "png"]] = "jpg"
    """How images end where nobody asks for another."""
    depths: ClassVar[tuple[str, ...]] = ("png", "npy")
    scales: ClassVar[tuple[float, ...]] = ()
    """Units per metre that its readers know, the usual one first; none = any, since it says which."""
    bound: ClassVar[bool] = False
    """Whether readers cannot be told other units either."""
    logarithmic: ClassVar[bool] = False
    """Whether depth is stored as logarithms."""
    instances: ClassVar[bool] = False
    """Whether it has a place for object ids."""
    needs_depth: ClassVar[bool] = True
    """Whether images without depth have no place in it."""
    splits: ClassVar[bool] = True
    """Whether it tells images to train on from those to measure on."""
    packed: ClassVar[bool] = False
    """Whether its files lie in tars."""

    def refuse(self, out: Path) -> None:  # noqa: B027 - most are content with any place
        """Refuse a place that its readers cannot read.

        Raises:
            ConfigError: it is one.
        """

    def names(self, ids: Sequence[str | None]) -> list[str]:
        """Return the name of each image of a split, by its id where that is known."""
        return names_of(ids)

    @abstractmethod
    def files(self, item: Item, several: bool) -> dict[str, bytes]:
        """Return the files of an item by relative path, the picture last."""

    @abstractmethod
    def lists(self, told: Told) -> dict[str, str]:
        """Return the texts that are written at the end by relative path."""

    @abstractmethod
    def spec(self, out: Path, told: Told) -> str:
        """Return the source that reads it back."""


def matrix(rows: Sequence[Row]) -> str | None:
    """Return the matrix of the one camera that all images have, as three lines; None where they have several or none.

    ``rgbd:`` reads it from ``camera-intrinsics.txt``.
    """
    cameras = {row.camera for row in rows}
    known = next(iter(cameras)) if len(cameras) == 1 else None
    if known is None:
        return None
    fx, fy, cx, cy = (repr(value) for value in known)
    return f"{fx} 0 {cx}\n0 {fy} {cy}\n0 0 1\n"
