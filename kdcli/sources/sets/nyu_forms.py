"""The other forms of NYU Depth v2: the labelled MATLAB file with its splits, and FastDepth's tree of HDF5 files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from kdcli.errors import ConfigError, DataError
from kdcli.files import at_home
from kdcli.rasters import Element, must_exist
from kdcli.rasters.elements import read_element
from kdcli.rasters.variables import arrays_in, read_texts
from kdcli.sources.listing import folders_in, is_hidden, list_files
from kdcli.sources.pairing.left_out import names
from kdcli.sources.pairs import Pair
from kdcli.types import Finding

Form = Literal["bts", "labelled", "h5"]
LABELLED, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
_NUMBERS = {"train": "trainNdxs", "test": "testNdxs"}
_DEPTHS = {"filled": "depths", "raw": "rawDepths"}
_HELD_OUT = frozenset({"00001.h5", "00201.h5"})
"""Files of every training scene that FastDepth and sparse-to-dense keep apart."""
_TREES = {"train": "train", "test": "val"}


def found_form(location: str, asked: str, listed: bool) -> Form:
    """Return the form that is asked for, else that of what lies there.

    listed: whether there is a list of pairs, which BTS's layout has.
    """
    if asked != "auto":
        return {"bts": "bts", "labelled": "labelled"}.get(asked, "h5")  # type: ignore[return-value]
    root = at_home(location)
    if listed or any((root / name).is_dir() for name in ("sync", "official_splits")):
        return "bts"
    if root.suffix == ".mat" or (root / LABELLED).is_file():
        return "labelled"
    return "h5" if h5_folder(root) is not None else "bts"


def labelled_pairs(location: str, split: str | None, depth: str) -> list[Pair]:
    """Return the items of the labelled file, all or those of a split, in the order of their numbers, counted from 1.

    Raises:
        DataError: a file is missing, or is another one.
    """
    file = _labelled_file(at_home(location))
    shapes = arrays_in(file)
    key = _DEPTHS[depth]
    for name in ("images", key):
        if name not in shapes:
            held = ", ".join(sorted(shapes))[:200]
            raise DataError(f"'{file}' has no array '{name}' (it has: {held}); give the labelled file of NYU Depth v2")
    count = shapes["images"][0]
    scenes = read_texts(Element(file, "scenes")) if "scenes" in shapes else []
    scenes = scenes if len(scenes) == count else []
    ids = {"labels", "instances"} <= shapes.keys()
    return [
        Pair(
            id=f"{scenes[i]}/{i + 1:04}" if scenes else f"{i + 1:04}",
            image=Element(file, "images", i, transposed=True), depth=Element(file, key, i, transposed=True),
            instances=Element(file, "instances", i, transposed=True) if ids else None,
        )
        for i in _numbers(file, split, count)
    ]


def objects(instances: Element) -> Tensor:
    """Return object ids of an item, H x W int64: instances are counted anew for each label, and 0 is no label.

    Raises:
        DataError: they cannot be read.
    """
    labels = read_element(Element(instances.file, "labels", instances.index, instances.transposed)).astype(np.int64)
    both = np.where(labels > 0, labels * 65536 + read_element(instances).astype(np.int64), 0)
    known, ids = np.unique(both, return_inverse=True)
    return torch.from_numpy(ids.reshape(both.shape) + (0 if known[0] == 0 else 1))


def h5_pairs(location: str, split: str | None) -> tuple[list[Pair], list[Finding]]:
    """Return the items of ``train/SCENE/N.h5`` or ``val/official/N.h5``, and what is to be said of them.

    Raises:
        DataError: there is none. ConfigError: both are there and no split is asked for.
    """
    root = h5_folder(at_home(location))
    if root is None:
        raise DataError(f"'{location}' has no train/SCENE/N.h5 and no val/official/N.h5, nor does nyudepthv2/ in it; "
                        "give the folder that holds train and val")
    there = {name: root / folder for name, folder in _TREES.items() if (root / folder).is_dir()}
    if split is None and len(there) > 1:
        raise ConfigError(f"'{root}' has train and val; choose one with split=train or split=test")
    chosen = there.get(split or next(iter(there)))
    if chosen is None:
        raise DataError(f"'{root}' has no folder {_TREES[str(split)]}; unpack it there or leave split= out")
    files = [path for scene in folders_in(chosen) for path in list_files(scene, {".h5"})]
    pairs = [
        Pair(id=path.relative_to(root).as_posix(), image=Element(path, "rgb"), depth=Element(path, "depth"))
        for path in files
    ]
    held = [path for path in files if path.name in _HELD_OUT] if chosen.name == "train" else []
    if not held:
        return pairs, []
    message = (
        f"{len(held)} files of training scenes are those that FastDepth holds out of training (00001.h5 and 00201.h5), "
        f"and are taken: {names([str(path) for path in held])}"
    )
    return pairs, [Finding(level="info", message=message, path=str(held[0]))]


def h5_folder(root: Path) -> Path | None:
    """Return the folder that holds ``train`` or ``val`` with HDF5 files in folders, or None."""
    for base in (root, root / "nyudepthv2"):
        for name in _TREES.values():
            for scene in folders_in(base / name)[:20]:
                with os.scandir(scene) as entries:
                    if any(entry.name.endswith(".h5") and not is_hidden(entry.name) for entry in entries):
                        return base
    return None


def _labelled_file(root: Path) -> Path:
    if root.is_file() or root.suffix == ".mat":
        must_exist(root)
        return root
    named = root / LABELLED
    others = [path for path in list_files(root, {".mat"}) if path.name != SPLITS] if root.is_dir() else []
    if not named.is_file() and len(others) == 1:
        return others[0]
    if not named.is_file():
        raise DataError(f"'{root}' has no {LABELLED}; give the folder that holds it, or the file itself")
    return named


def _numbers(file: Path, split: str | None, count: int) -> Sequence[int]:
    """Return the positions of a split, from 0; its file counts from 1."""
    if split is None:
        return range(count)
    path = file.with_name(SPLITS)
    if not path.is_file():
        raise DataError(f"split={split} is told by '{path}', which is not there; download it beside the labelled file")
    numbers = read_element(Element(path, _NUMBERS[split])).flatten().astype(np.int64)
    if not len(numbers) or numbers.min() < 1 or numbers.max() > count:
        low, high = (numbers.min(), numbers.max()) if len(numbers) else (0, 0)
        raise DataError(f"'{path}' has numbers of {low} to {high} for {split}, and '{file}' has items 1 to {count}; "
                        "give the splits of this file")
    return [int(number) - 1 for number in numbers]
