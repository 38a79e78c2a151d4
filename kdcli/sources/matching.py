"""Which files belong together: by name, by number, by time."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kdcli.sources.file_names import alike, natural_key, without_endings
from kdcli.sources.roles import MASK_WORDS, RULES, Role, Rule, bare, role_of

__all__ = ["by_name", "match_masks", "match_names", "match_times", "natural_key", "twins"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Files by name. first: the first file of each name. several: all files of the names that more than one has."""

    first: dict[str, str]
    several: dict[str, list[str]]

    def of(self, name: str) -> list[str]:
        """Return the files of a name."""
        return self.several.get(name) or [self.first[name]]


def by_name(files: Sequence[str], base: str) -> Named:
    """Tell files by their path below a folder (``prefix_of`` it), without ending."""
    names = [name[len(base) :] for name in without_endings(files)]
    if os.sep != "/":
        names = [name.replace(os.sep, "/") for name in names]
    first = dict(zip(names, files, strict=True))
    if len(first) == len(names):  # most sets have one file of each name, and no list is made of it
        return Named(first=first, several={})
    groups: dict[str, list[str]] = defaultdict(list)
    for name, path in zip(names, files, strict=True):
        groups[name].append(path)
    return Named(
        first={name: paths[0] for name, paths in groups.items()},
        several={name: paths for name, paths in groups.items() if len(paths) > 1},
    )


def below(path: str, base: str) -> str:
    """Return the path of a file below a folder (``prefix_of`` it), with slashes."""
    name = path[len(base) :]
    return name if os.sep == "/" else name.replace(os.sep, "/")


def twins(files: Sequence[str]) -> list[tuple[str, str]]:
    """Return the files that have the name of another but for the ending: the first of that name, and this one."""
    names = without_endings(files)
    if len(set(names)) == len(names):
        return []
    first: dict[str, str] = {}
    told = [(first.setdefault(name, path), path) for name, path in zip(names, files, strict=True)]
    return [(one, other) for one, other in told if one != other]


def match_names(
    images: Mapping[str, T], depths: Mapping[str, T], *, also: frozenset[str] = frozenset()
) -> dict[str, T]:
    """Return the depth file of each image's name, in the order of the images.

    Names are relative paths without ending. Equal names match; names that are left match if they differ in role words
    (``rgb_1`` and ``depth_1``), in how a number is written (``000005`` and ``5``) or both, and are the only such two.
    Last, equal last parts do, where neither has a folder that the other side knows. also: further role words.
    """
    found = {name: depths[name] for name in images if name in depths}
    if len(found) == len(images):
        return found
    # What is itself called a map (a.disparity beside a.depth) is only an image of depth that is called the same.
    open_images = [
        name for name in images if name not in found and role_of(_file(name)) not in (Role.DEPTH, Role.DISPARITY)
    ]
    open_depths = [name for name in depths if name not in found]
    kinds = {name: alike(name) for name in (*open_images, *open_depths)} if open_depths else {}
    for rule in RULES:
        if not open_images or not open_depths:
            break
        found |= _unique(open_images, open_depths, depths, rule, also, kinds)
        open_images, open_depths = _rest(open_images, open_depths, depths, found)
    if open_images and open_depths:
        known = {_folder(name) for name in images}, {_folder(name) for name in depths}
        # A frame without depth must not take the depth of a frame of another folder that lacks its image.
        lone_images = [name for name in open_images if _folder(name) not in known[1]]
        lone_depths = [name for name in open_depths if _folder(name) not in known[0]]
        for rule in (_same, *RULES):
            found |= _unique(lone_images, lone_depths, depths, _last(rule), also, kinds)
            lone_images, lone_depths = _rest(lone_images, lone_depths, depths, found)
    return {name: found[name] for name in images if name in found}


def _same(name: str, _: frozenset[str]) -> str:
    return name


def _unique(
    images: Sequence[str], depths: Sequence[str], paths: Mapping[str, T], rule: Rule, also: frozenset[str],
    kinds: Mapping[str, str],
) -> dict[str, T]:
    """Return what a rule pairs where it means one name on either side. kinds: names with their digits made alike."""
    # Names that a rule makes equal are also made equal once their digits are: most rules fail on a few kinds of names.
    shapes = [{kind: rule(kind, also) for kind in {kinds[name] for name in names}} for names in (images, depths)]
    shared = set(shapes[0].values()) & set(shapes[1].values())
    if not all(kind.isascii() for of in shapes for kind in of):  # digits of other scripts are not made alike
        shared = {shape for of in shapes for shape in of.values()}
    if not shared:
        return {}
    left: dict[str, list[str]] = defaultdict(list)
    right: dict[str, list[str]] = defaultdict(list)
    for names, of, index in ((images, shapes[0], left), (depths, shapes[1], right)):
        for name in names:
            if of[kinds[name]] in shared:
                index[rule(name, also)].append(name)
    return {
        names[0]: paths[right[key][0]]
        for key, names in left.items()
        if len(names) == 1 and len(right.get(key, ())) == 1
    }


def _last(rule: Rule) -> Rule:
    """Return the same rule for the last parts of names."""
    return lambda name, also: rule(_file(name), also)


def _rest(
    images: Sequence[str], depths: Sequence[str], paths: Mapping[str, T], found: Mapping[str, T]
) -> tuple[list[str], list[str]]:
    taken = set(found.values())
    return [name for name in images if name not in found], [name for name in depths if paths[name] not in taken]


def _file(name: str) -> str:
    return name.rpartition("/")[2]


def _folder(name: str) -> str:
    return bare(name, weak=True, numbers=True).rpartition("/")[0]


def match_masks(masks: Sequence[str], depths: Sequence[str], base: str) -> tuple[dict[str, str], list[str]]:
    """Return the mask of each depth map: of its name but for words such as ``depth``, ``mask``, ``valid``.

    Also return the masks of maps that have several, of which none can be told to be meant. base: folder of all.
    """
    if not masks:
        return {}, []
    index: dict[str, list[str]] = defaultdict(list)
    for path in masks:
        index[bare(below(path, base), also=MASK_WORDS)].append(path)
    keys = {path: bare(below(path, base), also=MASK_WORDS) for path in depths}
    found = {path: index[key][0] for path, key in keys.items() if len(index.get(key, ())) == 1}
    several = {mask: None for key in keys.values() if len(index.get(key, ())) > 1 for mask in index[key]}
    return found, list(several)


def match_times(images: Sequence[float], depths: Sequence[float], *, within: float = 0.02) -> list[tuple[int, int]]:
    """Return pairs of positions of the nearest time stamps, each used once, in the order of the images.

    Times are in seconds. Closest pairs are taken first, as the tools of the TUM RGB-D benchmark do.
    """
    order = sorted(range(len(depths)), key=depths.__getitem__)
    times = [depths[i] for i in order]
    candidates = []
    for i, time in enumerate(images):
        j = bisect_left(times, time - within)
        while j < len(times) and times[j] <= time + within:
            candidates.append((abs(times[j] - time), i, order[j]))
            j += 1
    taken: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in sorted(candidates):
        if i not in taken and j not in used:
            taken[i] = j
            used.add(j)
    return sorted(taken.items())
