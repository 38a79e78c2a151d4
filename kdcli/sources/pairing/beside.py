"""Depth maps and masks of a folder: which of its files are which, and which of two of one name is meant."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kdcli.errors import DataError
from kdcli.images import IMAGE_SUFFIXES, opened
from kdcli.sources.matching import by_name, match_masks
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.roles import Role, has_word, role_of
from kdcli.sources.validity import MASK_SUFFIXES

_UNSURE = frozenset({"invalid", "occlusion", "occluded"})
_PICTURES = frozenset({".png", ".tif", ".tiff"})
_NUMBERS = frozenset({".npy", ".npz", ".pgm"})


def split_masks(files: Sequence[Path], base: Path, left: LeftOut) -> tuple[list[Path], dict[Path, Path]]:
    """Return the depth maps among files, and the mask of each map that has one beside it.

    A mask has a word such as ``mask`` or ``valid`` in its name and is else called like a map. One that is called
    ``invalid`` may be meant either way and is not used.
    """
    called = [path for path in files if role_of(path.stem) is Role.MASK]
    if not called:
        return list(files), {}
    maps = [path for path in files if path not in set(called)]
    sure = [path for path in called if path.suffix.lower() in MASK_SUFFIXES and not has_word(path.stem, _UNSURE)]
    masks, several = match_masks(sure, maps, base)
    unsure, more = match_masks([path for path in called if path not in set(sure)], maps, base)
    left.masked += masks.values()
    left.masks += [*several, *unsure.values(), *more]
    taken = {*masks.values(), *left.masks}
    return [path for path in files if path not in taken], masks


def one_of_each(groups: dict[str, list[Path]], left: LeftOut) -> dict[str, Path]:
    """Return one depth map for each name; of several the last in natural order that is no plain picture."""
    chosen: dict[str, Path] = {}
    for name, paths in groups.items():
        chosen[name] = paths[-1]
        if len(paths) > 1:
            chosen[name] = next((path for path in reversed(paths) if not is_picture(path)), paths[-1])
            left.doubles += [(chosen[name], path) for path in paths if path != chosen[name]]
    return chosen


def is_picture(path: Path) -> bool:
    """Whether a file is a picture of 8 bits rather than numbers, such as a preview of the map beside it."""
    if path.suffix.lower() not in _PICTURES:
        return False
    with suppress(DataError), opened(path) as image:
        return image.mode not in ("F", "I", "I;16", "I;16B", "I;16L")
    return False


def by_ending(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return images and depth maps of one folder that are told apart by their endings: ``a.jpg`` and ``a.npy``.

    Of two pictures the one of more than 8 bits is the map. Files without such a partner are neither.
    """
    images, depths = [], []
    for group in by_name(files, files[0].parent if files else Path()).values():
        maps = [path for path in group if path.suffix.lower() in _NUMBERS]
        pictures = [path for path in group if path.suffix.lower() in IMAGE_SUFFIXES]
        if not maps and len(pictures) > 1:
            maps = [path for path in pictures if path.suffix.lower() in _PICTURES and not is_picture(path)]
        photos = [path for path in pictures if path not in maps]
        if maps and photos:
            images += photos
            depths += maps
    return images, depths
