"""Small trees of the sets that the documents name, as they are unpacked."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import trees_renders as renders
import trees_roads as roads

SIZE = (96, 128)
METRES = np.linspace(2, 9, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.float32)
POINTS = np.array([[10.0, 1.0, 0.0, 0.5], [20.0, -2.0, 0.3, 0.5]])
ROOT = Path(__file__).resolve().parents[2]


def booster(root: Path) -> None:
    renders.booster(root, METRES * 10)


def ddad(root: Path) -> None:
    roads.ddad(root, METRES)


def diml(root: Path) -> None:
    renders.diml_indoor(root, METRES)


def kitti_object(root: Path) -> None:
    roads.objects(root, POINTS)


def depth_selection(root: Path) -> None:
    roads.selection(root, METRES)


def kitti_stereo(root: Path) -> None:
    roads.stereo(root, METRES)


def middlebury(root: Path) -> None:
    renders.middlebury(root, METRES)


def moge(root: Path) -> None:
    renders.moge(root, METRES, listed=".val.txt")


def sintel(root: Path) -> None:
    renders.sintel(root, METRES)


def tartanair(root: Path) -> None:
    renders.tartanair(root, METRES)


def shards(root: Path) -> None:
    """Two shards of four samples."""
    sys.path.insert(0, str(ROOT / "tests" / "sources" / "shards"))
    import shard_makers

    shard_makers.rooms(root, 2, 4, SIZE, ending="jpg")


def table(root: Path) -> None:
    """A table of Hugging Face ``datasets``, where that is installed."""
    pytest.importorskip("datasets")
    sys.path.insert(0, str(ROOT / "plugins" / "kdcli-huggingface" / "tests"))
    import hf_data

    root.parent.mkdir(parents=True, exist_ok=True)
    hf_data.saved(root)
