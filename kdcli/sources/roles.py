"""What the words of a file's name say that it holds (``rgb``, ``depth``, ``mask``), and the name without them.

A role word is a whole part of a name: set off by other signs, by digits (``depth000012``) or by a capital letter
(``rgbImage``). ``discolored`` has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from functools import lru_cache

from kdcli.sources.file_names import alike, stem_of


class Role(StrEnum):
    """What a file or a folder holds by its name."""

    IMAGE = "image"
    DEPTH = "depth"
    DISPARITY = "disparity"
    MASK = "mask"
    OTHER = "other"
    NONE = "none"


_IMAGE = frozenset({
    "rgb", "rgba", "rgbs", "color", "colors", "colour", "colours", "image", "images", "img", "imgs", "im", "photo",
    "photos", "picture", "pictures",
})  # fmt: skip
DEPTH_WORDS = frozenset({"depth", "depths", "depthmap", "depthmaps"})
_DISPARITY = frozenset({"disp", "disps", "disparity", "disparities"})
MASK_WORDS = frozenset({"mask", "masks", "valid", "validity", "validmask", "invalid"})
_OTHER = frozenset({
    "velodyne", "lidar", "seg", "segm", "segmentation", "semantic", "semantics", "instance", "instances", "instancegt",
    "label", "labels", "normal", "normals", "edge", "edges", "flow", "ir", "infrared", "confidence", "pose", "poses",
    "calib", "intrinsic", "intrinsics", "extrinsic", "extrinsics", "thermal",
})  # fmt: skip
_ROLES = (
    (MASK_WORDS, Role.MASK), (_OTHER, Role.OTHER), (DEPTH_WORDS, Role.DEPTH), (_DISPARITY, Role.DISPARITY),
    (_IMAGE, Role.IMAGE),
)  # fmt: skip
"""What a name with several such words is, the first that it has: ``image_depth`` is depth, ``depth_mask`` a mask."""

INSTANCE_WORDS = MASK_WORDS | {"instance", "instances", "instancegt", "seg", "segm", "segmentation", "label", "labels"}
"""Words in the names of maps of object ids."""
_STRONG = _IMAGE | DEPTH_WORDS | _DISPARITY
_WEAK = frozenset({
    "frame", "frames", "left", "outleft", "gt", "groundtruth", "ground", "truth", "sync", "filled", "bfx", "proj",
    "map", "maps", "plane", "planar", "meters", "metres", "metric", "raw", "rawlight", "tonemap", "preview", "scene",
    "view", "lowres", "highres", "wide", "vga",
})  # fmt: skip
"""Words that stand on one side of a pair only now and then: left out of a name where nothing else makes it fit."""
WEAK_IMAGES = frozenset({"frame", "frames", "left", "outleft", "preview", "tonemap", "final", "clean"})
"""Words that make a folder one of images where no other is."""

WEAK_DEPTHS = frozenset({"gt", "groundtruth", "truth"})
"""The same for a folder of depth."""

_TOKEN = re.compile(r"\d+(?:\.\d+)+|\d+|[^\W\d_]+|[\W_]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_STRONG_OR_WEAK = _STRONG | _WEAK
_SIDES = frozenset("cid")
"""Letters that stand for colour, image, depth in some recorders' names: ``ID_i0_1``, ``ID_c``."""
_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".npy", ".npz"})


Cut = tuple[int, int]
"""Where a word stands in a name: from, up to."""


@lru_cache(maxsize=1 << 14)
def _tokens(name: str) -> tuple[Cut, ...]:
    """Split one part of a path into words, numbers and what is between them; nothing is lost. Of all names alike."""
    found: list[Cut] = []
    for match in _TOKEN.finditer(name):
        token, at = match[0], match.start()
        if token.isascii() and token.isalpha():
            found += [(at + word.start(), at + word.end()) for word in _CAMEL.finditer(token)]
        else:
            found.append(match.span())
    return tuple(found)


@lru_cache(maxsize=1 << 14)
def _words(name: str) -> frozenset[str]:
    """Return the words of all names that are alike, lower case."""
    return frozenset(name[begin:end].lower() for begin, end in _tokens(name))


@lru_cache(maxsize=1 << 14)
def _role(name: str) -> Role:
    words = _words(name)
    return next((role for known, role in _ROLES if words & known), Role.NONE)


def role_of(part: str) -> Role:
    """Return what one part of a path, a folder's or a file's name without ending, says that it holds."""
    return _role(alike(part))


def has_word(part: str, words: frozenset[str]) -> bool:
    """Whether one of these words, lower case, is a whole part of a name."""
    return not words.isdisjoint(_words(alike(part)))


_TRACES = {Role.MASK: ("mask", "valid"), Role.DEPTH: ("depth",), Role.DISPARITY: ("disp",)}
"""What stands in every word of a role."""


def called(paths: Sequence[str], roles: Collection[Role]) -> list[str]:
    """Return which files are called masks, depth or disparity, whichever of these are asked for."""
    said = "\n".join(paths).lower()  # most sets have no such name: one search for all of them
    if not any(trace in said for role in roles for trace in _TRACES[role]):
        return []
    return [path for path in paths if role_of(stem_of(path)) in roles]


def starred(name: str, also: frozenset[str]) -> str:
    """Return a name with each role word replaced by ``*``: ``a.color`` and ``a.depth`` become ``a.*``."""
    words = _STRONG | also if also else _STRONG
    return "/".join([
        "".join([part[begin:end] if end else "*" for begin, end in _stars(alike(part), words)])
        for part in name.split("/")
    ])  # fmt: skip


@lru_cache(maxsize=1 << 14)
def _stars(name: str, words: frozenset[str]) -> tuple[Cut, ...]:
    """Return what stays of the names that are alike; a role word is (0, 0)."""
    return tuple((0, 0) if name[begin:end].lower() in words else (begin, end) for begin, end in _tokens(name))


def bare(name: str, *, weak: bool = False, numbers: bool = False, also: frozenset[str] = frozenset()) -> str:
    """Return a relative path without ending, without its role words; parts that are nothing else vanish.

    weak: also without words such as ``frame`` or ``gt``. numbers: with ``0012`` as 12; a time stamp such as
    ``12.034`` stays. also: further words to leave out.
    """
    dropped = _STRONG_OR_WEAK if weak else _STRONG
    parts = []
    for cuts in _kept(alike(name), dropped | also if also else dropped, weak):
        words = [
            str(int(name[begin:end])) if number and numbers else name[begin:end].lower() for begin, end, number in cuts
        ]
        parts.append("_".join(words))
    return "/".join(parts)


@lru_cache(maxsize=1 << 14)
def _kept(name: str, dropped: frozenset[str], weak: bool) -> tuple[tuple[tuple[int, int, bool], ...], ...]:
    """Return which words of each part of the names that are alike stay, and which of them are whole numbers."""
    *folders, last = name.split("/")
    while (dot := last.rfind(".")) > 0 and last[dot:].lower() in _ENDINGS:  # a depth map called 000.jpg.png
        last = last[:dot]
    parts, at = [], 0
    for part in (*folders, last):
        parts.append(_kept_of(part, at, dropped, weak))
        at += len(part) + 1
    return (*filter(None, parts[:-1]), parts[-1])


def _kept_of(part: str, at: int, dropped: frozenset[str], weak: bool) -> tuple[tuple[int, int, bool], ...]:
    cuts, kept = _tokens(part), []
    words = [part[begin:end] for begin, end in cuts]
    for i, (word, (begin, end)) in enumerate(zip(words, cuts, strict=True)):
        side = (
            weak and word in _SIDES and i > 0 and not words[i - 1][-1].isalnum()
            and (i + 1 == len(words) or words[i + 1][0].isdecimal())
        )  # fmt: skip
        if word[0].isalnum() and word.lower() not in dropped and not side:
            kept.append((at + begin, at + end, word.isdecimal()))
    return tuple(kept)


Rule = Callable[[str, frozenset[str]], str]
RULES: tuple[Rule, ...] = (
    starred,
    lambda name, also: bare(name, also=also),
    lambda name, also: bare(name, also=also, numbers=True),
    lambda name, also: bare(name, also=also, weak=True),
    lambda name, also: bare(name, also=also, weak=True, numbers=True),
)
"""What two unequal names must have in common to belong together, the strictest first; with further role words."""
