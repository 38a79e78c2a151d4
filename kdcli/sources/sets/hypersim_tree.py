"""Hypersim on disk: as it is published, as Marigold processed it, and the table of its splits."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kdcli.errors import DataError
from kdcli.files import at_home
from kdcli.sources.listing import natural_key
from kdcli.sources.sets.frames import names_in

SPLITS = "metadata_images_split_scene_v1.csv"
_NEEDED = ("scene_name", "camera_name", "frame_id", "included_in_public_release", "split_partition_name")
_SCENE = re.compile(r"ai_\d{3}_\d{3}")
_PROCESSED = re.compile(r"rgb_(cam_\d+)_fr(\d+)\.png")
_PREVIEW, _HDR, _DEPTH = ".tonemap.jpg", ".color.hdf5", ".depth_meters.hdf5"


@dataclass(slots=True, kw_only=True)
class Tree:
    """What is below a folder: frames ``SCENE/CAMERA/FRAME`` that have an image and depth.

    processed: whether they are Marigold's. bare: images without depth. hdr: ``SCENE/CAMERA`` that are read as linear
    colours. ids: those whose frames all have object ids.
    """

    processed: bool = False
    frames: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    hdr: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)


def find_tree(base: Path, image: str | None) -> Tree:
    """Return the frames of all scenes in a folder. image: ``preview`` or ``hdr`` alone, else whichever is there."""
    tree = Tree()
    for scene in sorted(name for name in names_in(base) if _SCENE.fullmatch(name)):
        inside = names_in(base / scene)
        if "images" in inside:
            _published(base, scene, image, tree)
        elif any(name.startswith("rgb_cam_") for name in inside):
            tree.processed = True
            for name in inside:
                if match := _PROCESSED.fullmatch(name):
                    frame = f"{scene}/{match[1]}/{match[2]}"
                    (tree.frames if name.replace("rgb_", "depth_plane_", 1) in inside else tree.bare).append(frame)
    tree.frames.sort(key=natural_key)
    tree.bare.sort(key=natural_key)
    return tree


def _published(base: Path, scene: str, image: str | None, tree: Tree) -> None:
    folders = names_in(base / scene / "images")
    for camera in sorted({name.removeprefix("scene_")[:6] for name in folders if name.startswith("scene_cam_")}):
        at = f"{base}/{scene}/images/scene_{camera}"
        maps = names_in(f"{at}_geometry_hdf5")
        previews = _numbers(names_in(f"{at}_final_preview"), _PREVIEW) if image != "hdr" else set()
        colours = _numbers(names_in(f"{at}_final_hdf5"), _HDR) if image != "preview" and not previews else set()
        depths = _numbers(maps, _DEPTH)
        where = f"{scene}/{camera}"
        if colours:
            tree.hdr.add(where)
        known = sorted(previews or colours)
        tree.frames += [f"{where}/{number}" for number in known if number in depths]
        tree.bare += [f"{where}/{number}" for number in known if number not in depths]
        if known and _numbers(maps, ".semantic_instance.hdf5") >= depths.intersection(known):
            tree.ids.add(where)


def _numbers(names: frozenset[str], ending: str) -> set[str]:
    """Return the numbers of the files ``frame.NUMBER`` with an ending."""
    return {name[6 : -len(ending)] for name in names if name.startswith("frame.") and name.endswith(ending)}


def find_splits(root: Path, given: str | None) -> Path | None:
    """Return the table of splits: the given one, else that in the folder, beside it, or where its authors keep it.

    Raises:
        DataError: the given one does not exist.
    """
    if given is not None:
        for path in (at_home(given), root / given):
            if path.is_file():
                return path
        raise DataError(f"splits '{given}' exists neither as written nor in '{root}'; check the path")
    places = (root, root.parent, root / "evermotion_dataset" / "analysis", root.parent / "evermotion_dataset/analysis")
    return next((place / SPLITS for place in places if (place / SPLITS).is_file()), None)


def read_splits(path: Path, split: str) -> Iterator[str]:
    """Yield the frames ``SCENE/CAMERA/FRAME`` of a split that were published.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = csv.DictReader(stream)
            lacking = [name for name in _NEEDED if name not in (rows.fieldnames or ())]
            if lacking:
                raise DataError(f"'{path}' has no column '{lacking[0]}'; give the {SPLITS} of Hypersim's repository")
            for row in rows:
                if row["split_partition_name"] == split and row["included_in_public_release"] == "True":
                    yield f"{row['scene_name']}/{row['camera_name']}/{int(row['frame_id']):04}"
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"'{path}' cannot be read as a table ({error}); download it again") from None
