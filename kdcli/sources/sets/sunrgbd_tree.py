"""SUN RGB-D as it is unpacked: where its samples are, which of them a split names, and their polygons."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdcli.errors import DataError
from kdcli.files import at_home
from kdcli.images import DEPTH_SUFFIXES, IMAGE_SUFFIXES
from kdcli.rasters import Element
from kdcli.rasters.guards import must_exist
from kdcli.rasters.variables import read_texts
from kdcli.sources.file_names import ending_of, natural_key
from kdcli.sources.listing import is_hidden
from kdcli.sources.masks import fill_polygon

LIST = "allsplit.mat"
NYU = "kv1/NYUdata/"
_TOP = "SUNRGBD/"
_PLACES = ("", "SUNRGBDtoolbox/traintestSUNRGBD/", "traintestSUNRGBD/")
_KEYS = {"train": "alltrain", "test": "alltest", "inner-train": "trainvalsplit.train", "inner-val": "trainvalsplit.val"}
_LEVELS = 9
_MOST_BYTES, _MOST_OBJECTS = 1 << 24, 1 << 16


def samples_below(root: Path) -> list[str]:
    """Return the folders below a root that are samples, relative to it, in natural order.

    They lie at three depths; what has a folder of filled depth, or images beside raw depth, is one.
    """
    return sorted(_below(root, "", _LEVELS), key=natural_key)


def _below(root: Path, at: str, levels: int) -> Iterator[str]:
    names = []
    with suppress(OSError), os.scandir(root / at) as entries:  # a folder that we may not read holds nothing for us
        names = [entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir()]
    if "image" in names and ("depth_bfx" in names or "depth" in names):
        yield at
    elif levels:
        for name in names:
            yield from _below(root, f"{at}{name}/", levels - 1)


def only_file(folder: Path, endings: frozenset[str] = IMAGE_SUFFIXES | DEPTH_SUFFIXES) -> tuple[str | None, int]:
    """Return the only picture of a folder, or None where there is none or several, and how many there are."""
    names: list[str] = []
    with suppress(OSError):
        names = [n for n in os.listdir(folder) if not is_hidden(n) and ending_of(n) in endings]  # noqa: PTH208
    return (names[0] if len(names) == 1 else None), len(names)


def listed(root: Path, given: str | None, split: str) -> list[str]:
    """Return the samples of a split, relative to the folder ``SUNRGBD``, in the order of its list.

    Raises:
        DataError: the list is not there, or is another file.
    """
    if given is not None:
        path = next((path for path in (at_home(given), root / given) if path.is_file()), None)
    else:
        bases = (root, root.absolute().parent, root.absolute().parent.parent)
        places = (base / f"{below}{LIST}" for base in bases for below in _PLACES)
        path = next((path for path in places if path.is_file()), None)
    if path is None:
        raise DataError(f"split={split} is told by {given or _PLACES[1] + LIST}, which is neither in '{root}' nor "
                        "beside it; download the toolbox or give list=FILE")
    # The authors' own folder stands in front; slashes at the end come and go.
    texts = read_texts(Element(path, _KEYS[split]))
    return [text.replace("\\", "/").rpartition(_TOP)[2].strip("/") for text in texts]


def called(root: Path, sample: str) -> str:
    """Return what lists call a sample: its way from the folder ``SUNRGBD``, else from the root."""
    whole = f"{root.resolve().as_posix()}/{sample}"
    below = whole.rpartition(_TOP)[2] if _TOP in whole else sample
    return below.strip("/") or root.resolve().name


def polygons_of(path: Path) -> dict[int, list[NDArray[np.float64]]]:
    """Return the outlines of each object of an ``index.json``, corners as x, y, by the object's position from 1.

    Raises:
        DataError: it cannot be read.
    """
    must_exist(path)
    found: dict[int, list[NDArray[np.float64]]] = {}
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large")
        document = json.loads(path.read_bytes())
        for frame in document.get("frames") or ():
            for polygon in (frame or {}).get("polygon") or ():
                corners = _corners(polygon)
                if corners is not None:
                    number = polygon["object"]
                    if type(number) is not int or not 0 <= number < _MOST_OBJECTS:
                        raise ValueError("a polygon of no object")
                    found.setdefault(number + 1, []).append(corners)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise DataError(f"'{path}' is no annotation of SUN RGB-D ({reason}); download it again") from None
    return found


def _corners(polygon: Any) -> NDArray[np.float64] | None:
    """Return the corners of a polygon, N x 2; None where it has no area."""
    sides = [np.asarray(polygon.get(axis) or (), np.float64).reshape(-1) for axis in ("x", "y")]
    if len(sides[0]) != len(sides[1]) or not all(np.isfinite(side).all() and (abs(side) < 1e6).all() for side in sides):
        raise ValueError("a polygon with other numbers of x and y")
    return np.stack(sides, 1) if len(sides[0]) >= 3 else None


def ids_of(outlines: Sequence[tuple[int, Sequence[NDArray[np.float64]]]], size: tuple[int, int]) -> Tensor:
    """Return object ids, H x W int64, of outlines by id; a smaller object lies over a larger one."""
    masks = []
    for number, polygons in outlines:
        mask = np.zeros(size, bool)
        for corners in polygons:
            mask |= fill_polygon(corners, size)
        masks.append((int(mask.sum()), number, mask))
    ids = np.zeros(size, np.int64)
    for _, number, mask in sorted(masks, key=lambda one: (-one[0], one[1])):
        ids[mask] = number
    return torch.from_numpy(ids)
