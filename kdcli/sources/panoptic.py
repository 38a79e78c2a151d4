"""Objects of images from COCO's panoptic format: a JSON file, and a folder with one picture of segment ids an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdcli.errors import DataError
from kdcli.sources.coco import Level, Written, same_names
from kdcli.sources.instances import stored_ids


class PanopticFile:
    """Objects by file name of the image: segments of things. Stuff, such as sky and road, and crowds are none.

    A segment's id is R + 256 G + 65536 B of its picture's colour, 0 is none (github.com/cocodataset/panopticapi).
    """

    def __init__(self, written: Written, folder: Path) -> None:
        self.path, self.folder = written.path, folder
        self.stuff = self.crowds = self.broken = 0
        """Segments of no object; of several in one; annotations that are not what COCO says."""
        things = _things(written)
        self._images: dict[str, tuple[str, tuple[int, ...]]] = {}
        for annotation in written.annotations:
            try:
                name, _ = written.images[annotation["image_id"]]
                said = annotation["segments_info"]
                segments = [(int(one["id"]), one["category_id"], bool(one.get("iscrowd"))) for one in said]
                picture = str(annotation["file_name"])
                kept = tuple(number for number, category, crowd in segments if category in things and not crowd)
            except (KeyError, TypeError, ValueError, AttributeError):
                self.broken += 1
                continue
            self.crowds += sum(crowd for *_, crowd in segments)
            self.stuff += sum(category not in things and not crowd for _, category, crowd in segments)
            self._images[name] = picture, kept

    def match(self, names: Iterable[str]) -> dict[str, str]:
        """Return the file's name of each image's name, a relative path; as ``same_names``."""
        return same_names(names, self._images)

    def keep(self, names: Iterable[str]) -> None:
        """Forget all images but these."""
        wanted = set(names)
        self._images = {name: image for name, image in self._images.items() if name in wanted}

    def ids(self, name: str) -> Tensor:
        """Return the ids of an image, H x W int64: 1..n in the order of the file.

        Raises:
            DataError: its picture is missing or broken.
        """
        picture, kept = self._images[name]
        stored, _ = stored_ids(self.folder / picture)
        ids = np.zeros(stored.shape, np.int64)
        for number, segment in enumerate(kept, 1):
            ids[stored == segment] = number
        return torch.from_numpy(ids)

    def remarks(self) -> Sequence[tuple[Level, int, str]]:
        """Return what is left out: how grave that is, how many, and what of them."""
        return (
            ("warning", self.broken, "annotations are not of COCO's form and left out; write the file again"),
            ("info", self.stuff, "segments are of stuff, no objects, and left out"),
            ("info", self.crowds, "segments are of a crowd, several objects in one, and left out"),
        )


def pictures_of(path: Path) -> Path:
    """Return the folder of pictures beside a panoptic file.

    Raises:
        DataError: there is none.
    """
    folder = path.with_suffix("")
    if not folder.is_dir():
        raise DataError(f"'{path}' is panoptic, and its pictures are not in '{folder}'; unpack them there, or give "
                        "instances=DIR")
    return folder


def _things(written: Written) -> frozenset[Any]:
    try:
        return frozenset(one["id"] for one in written.categories if one["isthing"])
    except (KeyError, TypeError):
        raise DataError(
            f"'{written.path}' is panoptic and does not say which categories are objects; give the whole file, with "
            "'categories' and their 'isthing'"
        ) from None
