"""Depth maps and masks of a folder: which of its files are which, and which of two of one name is meant."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kdcli.errors import DataError
from kdcli.images import IMAGE_SUFFIXES, opened
from kdcli.sources.file_names import ending_of, stem_of
from kdcli.sources.matching import Named, by_name, match_masks
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.roles import Role, called, has_word
from kdcli.sources.validity import MASK_SUFFIXES

_UNSURE = frozenset({"invalid", "occlusion", "occluded"})
_PICTURES = frozenset({".png", ".tif", ".tiff"})
_NUMBERS = frozenset({".npy", ".npz", ".pgm"})


def split_masks(files: Sequence[str], base: str, left: LeftOut) -> tuple[list[str], dict[str, str]]:
    """Return the depth maps among files, and the mask of each map that has one beside it.

    A mask has a word such as ``mask`` or ``valid`` in its name and is else called like a map. One that is called
    ``invalid`` may be meant either way and is not used. base: what stands before all names.
    """
    found = called(files, (Role.MASK,))
    if not found:
        return list(files), {}
    others = set(found)
    maps = [path for path in files if path not in others]
    sure = [path for path in found if ending_of(path) in MASK_SUFFIXES and not has_word(stem_of(path), _UNSURE)]
    masks, several = match_masks(sure, maps, base)
    others = set(sure)
    unsure, more = match_masks([path for path in found if path not in others], maps, base)
    left.masked += masks.values()
    left.masks += [*several, *unsure.values(), *more]
    taken = {*masks.values(), *left.masks}
    return [path for path in files if path not in taken], masks


def one_of_each(files: Named, left: LeftOut) -> dict[str, str]:
    """Return one depth map for each name; of several the last in natural order that is no plain picture."""
    chosen = dict(files.first)
    for name, paths in files.several.items():
        chosen[name] = next((path for path in reversed(paths) if not is_picture(path)), paths[-1])
        left.doubles += [(chosen[name], path) for path in paths if path != chosen[name]]
    return chosen


def is_picture(path: str) -> bool:
    """Whether a file is a picture of 8 bits rather than numbers, such as a preview of the map beside it."""
    if ending_of(path) not in _PICTURES:
        return False
    with suppress(DataError), opened(Path(path)) as image:
        return image.mode not in ("F", "I", "I;16", "I;16B", "I;16L")
    return False


def by_ending(files: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return images and depth maps of one folder that are told apart by their endings: ``a.jpg`` and ``a.npy``.

    Of two pictures the one of more than 8 bits is the map. Files without such a partner are neither.
    """
    images, depths = list[str](), list[str]()
    for group in by_name(files, "").several.values():
        maps = [path for path in group if ending_of(path) in _NUMBERS]
        pictures = [path for path in group if ending_of(path) in IMAGE_SUFFIXES]
        if not maps and len(pictures) > 1:
            maps = [path for path in pictures if ending_of(path) in _PICTURES and not is_picture(path)]
        photos = [path for path in pictures if path not in maps]
        if maps and photos:
            images += photos
            depths += maps
    return images, depths
