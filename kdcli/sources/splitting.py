"""Which images of a source are held out of training: a function of the listing alone, the same for every seed.

``index``: the listing is cut into equal stretches, and the end of each is held out. Frames of a video stand next to one
another in a listing and look alike, so that single images drawn at random would all have neighbours in training; a
stretch has them at its ends only. There is one stretch, the end of the listing, below 32 held-out images, and at most
five.

``folder``: whole folders, in an order that their names' hashes give, each taken if it brings the number of held-out
images nearer to what is wanted. A folder is the path of an image's id without what tells cameras and kinds of files
apart (``image_02/data``, ``rgb``, ``left``): the two eyes of a camera see one scene.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kdcli.errors import ConfigError
from kdcli.protocols import Source

STRETCHES = 5
"""Most stretches of a listing that are held out."""
LONGEST = 16
"""Held-out images from which on there is a further stretch."""

_NO_SCENE = re.compile(
    r"data|frames?|left|right|(?:rgbs?|colou?rs?|images?|imgs?|photos?|pictures?|cam(?:era)?s?)(?:[_-]?\d{1,2})?",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Positions of a source's images, those held out and those that are trained on, each in the source's order."""

    held_out: array[int]
    training: array[int]
    rule: str
    """How they were told apart, for people."""

    def document(self, source: Source) -> dict[str, Any]:
        """Return what a manifest says of it; the hashes are of ids, or of positions where names take reading images."""
        named = hasattr(source, "pairs")
        return {
            "rule": self.rule,
            "images": len(self.held_out) + len(self.training),
            "held_out": len(self.held_out),
            "training": len(self.training),
            "sha256_of": "ids" if named else "positions",
            "sha256": {
                "held_out": _digest(source, self.held_out, named), "training": _digest(source, self.training, named),
            },
        }


def split(source: Source, spec: str, share: float, by: Literal["index", "folder"]) -> Split:
    """Tell the held-out images of a source from those that are trained on; no image is read.

    Raises:
        ConfigError: too few images, or no folders to tell apart.
    """
    count = len(source)
    if count < 2:
        raise ConfigError(f"holdout={share:g} of '{spec}': it has {count} image(s), of which none can be spared")
    if by == "folder":
        return _by_folder(source, spec, share)
    wanted = min(max(round(count * share), 1), count // 2)
    stretches = min(max(wanted // LONGEST, 1), STRETCHES)
    held, kept = array("q"), array("q")
    for i in range(stretches):
        begin, end = (count * j // stretches for j in (i, i + 1))
        own = wanted * (i + 1) // stretches - wanted * i // stretches
        kept.extend(range(begin, end - own))
        held.extend(range(end - own, end))
    where = "the end of the listing" if stretches == 1 else f"the ends of {stretches} equal stretches of the listing"
    return Split(held_out=held, training=kept, rule=where)


def scene_of(name: str) -> str:
    """Return the folder of an image's id, without what tells cameras and kinds of files apart."""
    folders = name.split("/")[:-1]
    while folders and _NO_SCENE.fullmatch(folders[-1]):
        folders.pop()
    return "/".join(folders)


def _by_folder(source: Source, spec: str, share: float) -> Split:
    pairs = getattr(source, "pairs", None)
    if pairs is None:
        raise ConfigError(
            f"holdout_by=folder: '{spec}' does not tell in which folders its images are; use holdout_by=index"
        )
    scenes = [scene_of(pair.id) for pair in pairs]
    sizes = Counter(scenes)
    if len(sizes) < 2:
        raise ConfigError(
            f"holdout_by=folder: all {len(scenes)} images of '{spec}' are of one folder; use holdout_by=index, or "
            "recursive=true to look into sub-folders"
        )
    order = sorted(sizes, key=lambda name: hashlib.sha256(_bytes(name)).digest())
    wanted, chosen, held = share * len(scenes), set[str](), 0
    for name in order:
        if abs(held + sizes[name] - wanted) < abs(held - wanted):
            chosen.add(name)
            held += sizes[name]
    if not chosen:
        smallest = min(order, key=sizes.__getitem__)
        chosen, held = {smallest}, sizes[smallest]
    if held > len(scenes) / 2:
        raise ConfigError(
            f"holdout_by=folder: the smallest folder of '{spec}', '{next(iter(chosen))}', holds {held} of "
            f"{len(scenes)} images, too many to hold out; use holdout_by=index"
        )
    return Split(
        held_out=array("q", (i for i, name in enumerate(scenes) if name in chosen)),
        training=array("q", (i for i, name in enumerate(scenes) if name not in chosen)),
        rule=f"{len(chosen)} of {len(sizes)} folders: {_listed(sorted(chosen))}",
    )


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _digest(source: Any, positions: array[int], named: bool) -> str:
    told = hashlib.sha256()
    for part in _names(source, positions) if named else (str(position).encode() for position in positions):
        told.update(part + b"\0")
    return told.hexdigest()


def _names(source: Any, positions: Iterable[int]) -> Iterator[bytes]:
    pairs = source.pairs
    return (_bytes(pairs[position].id) for position in positions)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
