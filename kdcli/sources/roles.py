"""What the words of a file's name say that it holds (``rgb``, ``depth``, ``mask``), and the name without them.

A role word is a whole part of a name: set off by other signs, by digits (``depth000012``) or by a capital letter
(``rgbImage``). ``discolored`` has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache


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
_SIDES = frozenset("cid")
"""Letters that stand for colour, image, depth in some recorders' names: ``ID_i0_1``, ``ID_c``."""
_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".npy", ".npz"})


@lru_cache(maxsize=1 << 16)  # each name is asked for several times
def _tokens(part: str) -> tuple[str, ...]:
    """Split one part of a path into words, numbers and what is between them; nothing is lost."""
    found: list[str] = []
    for token in _TOKEN.findall(part):
        found += _CAMEL.findall(token) if token.isascii() and token.isalpha() else [token]
    return tuple(found)


def role_of(part: str) -> Role:
    """Return what one part of a path, a folder's or a file's name without ending, says that it holds."""
    words = {token.lower() for token in _tokens(part)}
    return next((role for known, role in _ROLES if words & known), Role.NONE)


def has_word(part: str, words: frozenset[str]) -> bool:
    """Whether one of these words, lower case, is a whole part of a name."""
    return any(token.lower() in words for token in _tokens(part))


def starred(name: str, also: frozenset[str]) -> str:
    """Return a name with each role word replaced by ``*``: ``a.color`` and ``a.depth`` become ``a.*``."""
    words = _STRONG | also
    return "/".join(
        "".join("*" if token.lower() in words else token for token in _tokens(part)) for part in name.split("/")
    )


def bare(name: str, *, weak: bool = False, numbers: bool = False, also: frozenset[str] = frozenset()) -> str:
    """Return a relative path without ending, without its role words; parts that are nothing else vanish.

    weak: also without words such as ``frame`` or ``gt``. numbers: with ``0012`` as 12; a time stamp such as
    ``12.034`` stays. also: further words to leave out.
    """
    *folders, last = name.split("/")
    while (dot := last.rfind(".")) > 0 and last[dot:].lower() in _ENDINGS:  # a depth map called 000.jpg.png
        last = last[:dot]
    dropped = _STRONG | also | (_WEAK if weak else frozenset())
    parts = [_bare(part, dropped, weak, numbers) for part in (*folders, last)]
    return "/".join([part for part in parts[:-1] if part] + parts[-1:])


@lru_cache(maxsize=4096)  # the folders of many files are the same
def _bare(part: str, dropped: frozenset[str], weak: bool, numbers: bool) -> str:
    tokens, kept = _tokens(part), []
    for i, token in enumerate(tokens):
        side = (
            weak and token in _SIDES and i > 0 and not tokens[i - 1][-1].isalnum()
            and (i + 1 == len(tokens) or tokens[i + 1][0].isdecimal())
        )  # fmt: skip
        if token[0].isalnum() and token.lower() not in dropped and not side:
            kept.append(str(int(token)) if numbers and token.isdecimal() else token.lower())
    return "_".join(kept)


Rule = Callable[[str, frozenset[str]], str]
RULES: tuple[Rule, ...] = (
    lambda name, _: name,
    starred,
    lambda name, also: bare(name, also=also),
    lambda name, also: bare(name, also=also, numbers=True),
    lambda name, also: bare(name, also=also, weak=True),
    lambda name, also: bare(name, also=also, weak=True, numbers=True),
)
"""What two names must have in common to belong together, the strictest rule first; with further role words."""
