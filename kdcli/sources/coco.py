"""Objects of images from an instance file in COCO's format; ``panoptic`` reads its other one."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from kdcli.errors import DataError
from kdcli.rasters import must_exist, within_limit
from kdcli.sources.masks import Mask, fill_polygon, fill_runs

_LONGEST = 1_000_000
"""Pixels that a side of an image, or a corner of an outline, can be at most."""
_REMEDY = "give a COCO instance file with 'images' and 'annotations'"

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a file in one of COCO's formats says. images: by id, name of the file, and height and width."""

    path: Path
    images: Mapping[Any, tuple[str, tuple[Any, Any]]]
    annotations: list[Any]
    categories: Any

    @property
    def panoptic(self) -> bool:
        """Whether objects are in pictures beside the file, rather than in it."""
        return any(isinstance(one, dict) and "segments_info" in one for one in self.annotations[:1])


def read_coco(path: Path) -> Written:
    """Read such a file.

    Raises:
        DataError: missing, or not of that format.
    """
    must_exist(path)
    try:
        document = json.loads(path.read_bytes())
        images = {
            entry["id"]: (str(entry["file_name"]).replace("\\", "/"), (entry["height"], entry["width"]))
            for entry in document["images"]
        }
        annotations = document["annotations"]
    except UnicodeDecodeError:
        raise DataError(f"'{path}' is not text; {_REMEDY}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"'{path}' line {error.lineno} is no JSON ({error.msg}); {_REMEDY}") from None
    except KeyError as error:
        raise DataError(f"'{path}' lacks {error}; {_REMEDY}") from None
    except (TypeError, ValueError, RecursionError):
        raise DataError(f"'{path}' has another form; {_REMEDY}") from None
    if not isinstance(annotations, list):
        raise DataError(f"'{path}' has 'annotations' that are no list; {_REMEDY}")
    return Written(path=path, images=images, annotations=annotations, categories=document.get("categories"))


def same_names(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Return the name in a file of each image's name, a relative path.

    Equal paths match; else equal last parts, where those are unique in the file.
    """
    last: dict[str, list[str]] = defaultdict(list)
    for one in known:
        last[one.rpartition("/")[2]].append(one)
    found = {}
    for name in names:
        others = last.get(name.rpartition("/")[2], [])
        if name in known:
            found[name] = name
        elif len(others) == 1:
            found[name] = others[0]
    return found


@dataclass(slots=True, kw_only=True)
class CocoImage:
    """What the file says of one image. size: height, width that the masks are meant for.

    outlines: per object its polygons, or its run lengths with their own size.
    """

    size: tuple[int, int]
    outlines: list[list[array[float]] | tuple[Any, tuple[int, int]]] = field(default_factory=list)


class CocoFile:
    """Objects by file name of the image. The JSON is read once and kept as compact numbers; masks are made when asked.

    Crowd regions (``iscrowd``) stand for several objects and are left out, as are annotations without a mask.
    """

    def __init__(self, written: Written) -> None:
        self.path = written.path
        self.boxes = self.crowds = self.broken = 0
        """Annotations that have a box and no mask; that are crowds; that are not what COCO says."""
        self._images = {name: CocoImage(size=self._size(name, size)) for name, size in written.images.values()}
        for annotation in written.annotations:
            self._add(annotation, written.images)

    def match(self, names: Iterable[str]) -> dict[str, str]:
        """Return the file's name of each image's name, a relative path; as ``same_names``."""
        return same_names(names, self._images)

    def remarks(self) -> Sequence[tuple[Level, int, str]]:
        """Return what is left out: how grave that is, how many annotations, and what of them."""
        return (
            ("warning", self.broken, "annotations are not of COCO's form and left out; write the file again"),
            ("info", self.boxes, "annotations have no mask (segmentation) and are left out"),
            ("info", self.crowds, "annotations are of a crowd, several objects in one, and left out"),
        )

    def keep(self, names: Iterable[str]) -> None:
        """Forget all images but these, to be small in memory and for worker processes."""
        wanted = set(names)
        self._images = {name: image for name, image in self._images.items() if name in wanted}

    def ids(self, name: str) -> Tensor:
        """Return the ids of an image, H x W int64 at the file's size: 1..n from the largest object to the smallest.

        A smaller object lies over a larger one.

        Raises:
            DataError: a mask that does not fit the image.
        """
        image = self._images[name]
        within_limit(self.path, image.size[0] * image.size[1])
        try:
            masks = [_mask(outline, image.size) for outline in image.outlines]
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"'{self.path}' has a broken mask for '{name}' ({error}); write it again") from None
        order = sorted((mask for mask in masks if mask.any()), key=lambda mask: -int(mask.sum()))
        ids = np.zeros(image.size, np.int64)
        for number, mask in enumerate(order, 1):
            ids[mask] = number
        return torch.from_numpy(ids)

    def _size(self, name: str, size: tuple[Any, Any]) -> tuple[int, int]:
        """Return the height and width of an image as the file gives them, whole numbers above 0."""
        for what, value in zip(("height", "width"), size, strict=True):
            whole = type(value) is int or (isinstance(value, float) and value.is_integer())
            if not whole or not 0 < value <= _LONGEST:
                shown = str(value)[:40]
                raise DataError(f"'{self.path}' gives '{name}' the {what} {shown}; write its size in whole pixels")
        return int(size[0]), int(size[1])

    def _add(self, annotation: Any, images: Mapping[Any, tuple[str, tuple[int, int]]]) -> None:
        try:
            name, _ = images[annotation["image_id"]]
            outline = annotation.get("segmentation")
            if annotation.get("iscrowd"):
                self.crowds += 1
            elif not outline:
                self.boxes += 1
            elif isinstance(outline, dict):
                height, width = outline["size"]
                self._images[name].outlines.append((_compact(outline["counts"]), (int(height), int(width))))
            else:
                polygons = [array("f", polygon) for polygon in outline]
                if any(len(p) < 6 or len(p) % 2 or not (abs(np.asarray(p)) <= _LONGEST).all() for p in polygons):
                    raise ValueError
                self._images[name].outlines.append(polygons)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            self.broken += 1


def _compact(counts: Any) -> Any:
    return counts if isinstance(counts, str) else array("q", counts)


def _mask(outline: list[array[float]] | tuple[Any, tuple[int, int]], size: tuple[int, int]) -> Mask:
    if isinstance(outline, tuple):
        counts, own = outline
        if own != size:
            raise ValueError(f"run lengths for {own[0]} x {own[1]}, image {size[0]} x {size[1]}")
        return fill_runs(counts, own)
    mask = np.zeros(size, bool)
    for polygon in outline:
        mask |= fill_polygon(polygon, size)
    return mask
