"""``pairs:YAML|FOLDER``: ``images/`` beside ``depth/`` with a data YAML, as ultralytics and libreyolo ask for it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch

from kdcli.errors import ConfigError, DataError
from kdcli.files import at_home
from kdcli.images import IMAGE_SUFFIXES, StoredDepth, depth_form
from kdcli.protocols import API_VERSION
from kdcli.rasters import Place, ending_of
from kdcli.remarks import remark
from kdcli.sources.listing import list_files
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.beside import Beside, depths_of
from kdcli.sources.sets.data_yaml import DIALECTS, DataYaml, Tool, find_yaml
from kdcli.sources.sets.frames import SetSource, told
from kdcli.sources.texts.numbers import read_lines
from kdcli.types import Finding

_ASPECT = 0.02
"""By how much the logarithm of width over height may differ between a map and its image, as of ultralytics."""


class PairsSource(SetSource):
    """Images ``images/.../NAME.jpg`` and depth ``depth/.../NAME.png`` or ``NAME.npy``, as a data YAML has them.

    The location is the YAML, or the folder that holds it or images and depth alone. split: ``train``, ``val`` or
    ``test``, which may be left out where there is one. Whole numbers are divided by the YAML's ``depth_scale``; without
    one, scale says the stored units per metre, or dialect the tool whose default is meant: ``ultralytics`` 1000,
    ``libreyolo`` 256. Floats are metres. The depth folder is ``depth`` or ``depths``, or the YAML's ``depths_dir``; a
    depth file's stem may end in ``_depth``, and that of a mask beside it in ``_mask``, which is 0 where nothing was
    measured. Maps that are smaller than the image at its shape are enlarged by the nearest pixel. max_depth: metres
    beyond which depth is none, by default the YAML's. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "pairs"

    def __init__(
        self, *, location: str, split: Literal["train", "val", "test"] | None = None, scale: float | None = None,
        dialect: Tool | None = None, max_depth: float | None = None, start: int = 0, stop: int | None = None,
        every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        data = find_yaml(at_home(location))
        images = _images(data, _split(data, split))
        beside = Beside(depths=data.depths or _folder(data, dialect, images), stems=data.stems, mask=data.mask)
        names, bare = [], []
        self._root, self._depths = f"{data.root}/", beside.depths
        for image in images:
            depth, mask = beside.of(image)
            if depth is None:
                bare.append(image)
            else:
                names.append(f"{image.removeprefix(self._root)}\t{depth}\t{mask}")
        if not names:
            raise DataError(
                f"none of the {len(images)} images has depth, such as '{beside.wanted(images[0])}' for '{images[0]}'; "
                "put it there, or take folder: for images alone"
            )
        notes = told("warning", bare, "images have no depth of their name and are left out", "complete the folder")
        says = "images have the name of another but for the ending, and all are used"
        notes += told("warning", _twins(images), says, "remove those that are not meant")
        notes += told("info", beside.rest(), "depth maps have no image of their name", "they are not used")
        self._data, self._given = data, scale is not None
        scale, more = self._unit(data, names, scale, dialect)
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(
            names, selection=selection, where=location, scale=scale,
            max_depth=data.furthest if max_depth is None else max_depth, notes=[*more, *notes],
        )

    def _unit(
        self, data: DataYaml, names: list[str], given: float | None, dialect: Tool | None
    ) -> tuple[float | None, list[Finding]]:
        """Return the stored units per metre: those given, the YAML's, or the default of the tool that is named.

        Raises:
            ConfigError: nothing tells, and there are maps of whole numbers.
        """
        if given is not None or data.scale is not None:
            return given if given is not None else data.scale, []
        if dialect is not None:
            tool = DIALECTS[dialect]
            message = f"'{data.named}' has no depth_scale: {tool.scale:g} units per metre are {dialect}'s default"
            remark(message)
            return tool.scale, [Finding(level="info", message=message, path=data.named)]
        first = self.pair(next((name for name in names if ".png\t" in name), names[0])).depth
        form = None if first is None else depth_form(first)
        if form is None or not form.bits or form.scale is not None:
            return None, []
        raise ConfigError(self._guess(first))

    def _guess(self, depth: Place | None) -> str:
        """Say that nothing tells the unit of a map of whole numbers."""
        return (
            f"'{self._data.named}' has no depth_scale, and 1000 in '{depth}' is 1 m for ultralytics and 3.9 m for "
            "libreyolo; add depth_scale: to the YAML, or write scale=UNITS_PER_METRE, dialect=ultralytics or "
            "dialect=libreyolo"
        )

    def pair(self, name: str) -> Pair:
        """Return the files of an image."""
        image, depth, mask = name.split("\t")
        path = Path(self._root, image)
        base = depths_of(f"{path.parent}{os.sep}", self._depths)
        stem = f"{base}{path.stem}"
        return Pair(id=image, image=path, depth=Path(stem + depth), mask=Path(stem + mask) if mask else None)

    def scale_of(self, pair: Pair) -> float | None:
        """Return the stored units per metre of a pair: 1 of floats, which are metres whatever the YAML says."""
        if pair.depth is not None and ending_of(pair.depth) != ".png" and not depth_form(pair.depth).bits:
            return 1.0
        return self.scale

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Read the depth of an image as it is stored, brought to the height and width of the image if it is smaller.

        Raises:
            DataError: as of ``SetSource``, or its unit is unknown, or other than the YAML says.
        """
        stored = super().stored(pair, size)
        if stored.bits and self.scale is None and stored.scale is None:
            raise DataError(self._guess(pair.depth))
        if not self._given and None not in (self.scale, stored.scale) and self.scale != stored.scale:
            raise DataError(f"'{pair.depth}' says {stored.scale:g} units per metre, and '{self._data.named}' "
                            f"{self.scale:g}; correct depth_scale: or write scale=UNITS_PER_METRE")
        height, width = stored.values.shape
        smaller = height < size[0] and width < size[1]
        if not smaller or pair.mask is not None or abs(np.log(width / height * size[0] / size[1])) > _ASPECT:
            return stored
        rows = torch.from_numpy(np.arange(size[0]) * height // size[0])
        columns = torch.from_numpy(np.arange(size[1]) * width // size[1])
        values, valid = (one[rows][:, columns] for one in (stored.values, stored.valid))
        return replace(stored, values=values, valid=valid)


def _twins(images: list[str]) -> list[str]:
    """Return the images that have the name of an earlier one but for the ending."""
    stems: set[str] = set()
    twins = []
    for image in images:
        stem = image[: image.rfind(".")]
        if stem in stems:
            twins.append(image)
        stems.add(stem)
    return twins


def _split(data: DataYaml, given: str | None) -> str:
    if given is None and len(data.splits) == 1:
        return next(iter(data.splits))
    if given is not None and given in data.splits:
        return given
    there = " or ".join(f"split={name}" for name in data.splits)
    if given is None:
        raise ConfigError(f"'{data.named}' has {', '.join(data.splits)}; write {there}")
    raise ConfigError(f"'{data.named}' has no {given}; write {there}")


def _images(data: DataYaml, split: str) -> list[str]:
    """Return the images of a split: those of its folders, and those that its lists name.

    Raises:
        DataError: a folder or list is not there, or there are none.
    """
    images: list[str] = []
    for entry in data.splits[split]:
        place = data.root / entry
        if not place.exists() and entry.startswith("../"):  # as ultralytics forgives it
            place = data.root / entry[3:]
        if place.is_dir():
            images += map(str, list_files(place, IMAGE_SUFFIXES, recursive=True))
        elif place.is_file():
            images += _listed(place, data.root)
        else:
            raise DataError(f"'{data.named}' names '{entry}' for {split}, and '{place}' does not exist; correct it")
    if not images:
        raise DataError(f"'{data.named}' has no images for {split} in {', '.join(data.splits[split])}; put some there")
    return images


def _listed(path: Path, root: Path) -> Iterable[str]:
    """Return the images that a list names, relative to it or to the root."""
    for line in read_lines(path, "paths of images"):
        name = line.strip()
        if name and not name.startswith("#"):
            beside = path.parent / name
            yield os.path.normpath(beside if name.startswith(("./", "/")) or beside.exists() else root / name)


def _folder(data: DataYaml, dialect: Tool | None, images: list[str]) -> str:
    """Return the name of the folder of depth beside ``images``.

    Raises:
        ConfigError: both tools' are there, and none is named.
    """
    if dialect is not None:
        return DIALECTS[dialect].depths
    at = images[0][: images[0].rfind(os.sep) + 1]
    there = [tool.depths for tool in DIALECTS.values() if Path(depths_of(at, tool.depths)).is_dir()]
    if len(there) > 1:
        raise ConfigError(
            f"beside '{at}' are {' and '.join(there)}; write dialect=ultralytics for the first, libreyolo for the other"
        )
    return there[0] if there else "depth"
