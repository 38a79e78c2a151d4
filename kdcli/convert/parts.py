"""The sources of a conversion: which of their images are taken, and what these are called."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdcli.convert.asked import Asked
from kdcli.convert.layouts.layout import TRAIN, VAL
from kdcli.convert.resizing import resized
from kdcli.errors import ConfigError
from kdcli.images import turned_by
from kdcli.protocols import Source
from kdcli.rasters import ending_of
from kdcli.rasters.places import open_place
from kdcli.sources import load_source
from kdcli.sources.paired import PairSource
from kdcli.sources.parts import has_depth, renders
from kdcli.training.batches.order import ENDLESS
from kdcli.types import Sample

_JPEG = (".jpg", ".jpeg")
_KITTI = "CC BY-NC-SA 3.0"
LICENCES = {
    "ddad": "CC BY-NC-SA 4.0", "diode": "MIT", "eth3d": "CC BY-NC-SA 4.0", "hypersim": "CC BY-SA 3.0",
    **dict.fromkeys(("kitti", "kitti-object", "kitti-selection", "kitti-stereo"), _KITTI), "tartanair": "CC BY 4.0",
    "vkitti2": "CC BY-NC-SA 3.0",
}
"""Of sets whose layout has a name here, by the licence file of DDAD and of DIODE's devkit, Hypersim's README, and the
pages of the others; a set that is not here has terms of its own, or none that are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The images of one source. count: those that are taken, from the first on. names: of these."""

    split: str
    spec: str
    source: Source
    count: int
    names: Sequence[str]

    def sample(self, index: int, size: tuple[int, int] | None) -> Sample:
        """Return an item at the size that it is written at.

        Raises:
            DataError: it cannot be read.
        """
        if size is None:
            return self.source[index]
        if not renders(self.source):
            return resized(self.source[index], size)
        batch = self.source.batch([index], size, "cpu")  # type: ignore[attr-defined]
        maps = {name: None if value is None else value[0] for name in ("depth", "valid", "instances", "intrinsics")
                for value in (getattr(batch, name),)}
        return Sample(id=batch.ids[0], image=batch.image[0], **maps)

    def copied(self, index: int, asked: Asked) -> bytes | None:
        """Return the file of a picture that needs no change: JPEG of the same size that stands upright."""
        source: Any = self.source
        if asked.size is not None or asked.quality is not None or asked.ending != "jpg":
            return None
        if not usual(source, "picture") or source.cut is not None:
            return None
        if ending_of(place := source.pairs[index].image) not in _JPEG or turned_by(place) != 1:
            return None
        with open_place(place) as stream:
            return stream.read()

    def document(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        name, own = self.source.name, getattr(self.source, "licence", None)
        return {"data": self.spec, "source": name, "images": self.count, "licence": own or LICENCES.get(name)}


def parts_of(asked: Asked, limit: int | None) -> list[Part]:
    """Return the parts of a conversion; no image is read.

    Raises:
        ConfigError: a source without end or without the depth that the layout is for. DataError, PluginError: a source
        that cannot be used.
    """
    wanted = [(TRAIN, asked.data), *([] if asked.val is None else [(VAL, asked.val)])]
    return [_part(split, spec, asked, limit) for split, spec in wanted]


def usual(source: Source, *members: str) -> bool:
    """Whether a source reads files as all do: neither items nor these members of it are made in a way of its own."""
    kind = type(source)
    return isinstance(source, PairSource) and all(
        getattr(kind, name) is getattr(PairSource, name) for name in ("__getitem__", *members)
    )


def digest_of(part: Part, count: int | None = None) -> str:
    """Return a hash of what the images of a part are called, or the first of them."""
    return hashlib.sha256("".join(f"{name}\n" for name in part.names[:count]).encode()).hexdigest()


def _part(split: str, spec: str, asked: Asked, limit: int | None) -> Part:
    source = load_source(spec)
    if len(source) >= ENDLESS and limit is None:
        raise ConfigError(f"'{spec}' has no end; give its number of images, such as --limit 1000")
    if asked.made.needs_depth and not has_depth(source):
        raise ConfigError(f"'{spec}' has no depth, which the layout {asked.layout} is for; use --to folder or shards")
    count = len(source) if limit is None else min(len(source), limit)
    pairs = getattr(source, "pairs", None)
    ids: list[str | None] = [None] * count if pairs is None else [pairs[index].id for index in range(count)]
    return Part(split=split, spec=spec, source=source, count=count, names=asked.made.names(ids))
