"""The conformance kit on the sets of roads, renderings and stereo scenes, by the specs that people write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trees_renders as renders
import trees_roads as roads
from PIL import Image

from kdcli.errors import ConfigError, DataError
from kdcli.sources.sets.booster import BoosterSource
from kdcli.sources.sets.ddad import DdadSource
from kdcli.sources.sets.diml import DimlSource
from kdcli.sources.sets.kitti_object import KittiObjectSource
from kdcli.sources.sets.kitti_selection import KittiSelectionSource
from kdcli.sources.sets.kitti_stereo import KittiStereoSource
from kdcli.sources.sets.middlebury import MiddleburySource
from kdcli.sources.sets.moge import MogeSource
from kdcli.sources.sets.sintel import SintelSource
from kdcli.sources.sets.tartanair import TartanAirSource
from kdcli.testing import check_source

SIZE = (12, 40)
METRES = np.linspace(2, 30, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.float32)
POINTS = np.array([[10.0, 1.0, 0.0, 0.5], [20.0, -2.0, 0.3, 0.5]])

SETS: list[tuple[type, Callable[[Path], object]]] = [
    (BoosterSource, lambda root: renders.booster(root, METRES)),
    (DdadSource, lambda root: roads.ddad(root, METRES)),
    (DimlSource, lambda root: renders.diml_indoor(root, METRES)),
    (KittiObjectSource, lambda root: roads.objects(root, POINTS)),
    (KittiSelectionSource, lambda root: roads.selection(root, METRES)),
    (KittiStereoSource, lambda root: roads.stereo(root, METRES)),
    (MiddleburySource, lambda root: renders.middlebury(root, METRES)),
    (MogeSource, lambda root: renders.moge(root, METRES)),
    (SintelSource, lambda root: renders.sintel(root, METRES)),
    (TartanAirSource, lambda root: renders.tartanair(root, METRES)),
]
NAMES = [made.__name__ for made, _ in SETS]


@pytest.mark.parametrize(("made", "plant"), SETS, ids=NAMES)
def test_sources_pass_the_kit(tmp_path: Path, made: type, plant: Callable[[Path], object]) -> None:
    plant(tmp_path)
    check_source(made, options={"location": str(tmp_path)})


@pytest.mark.parametrize(("made", "plant"), SETS, ids=NAMES)
def test_a_range_that_leaves_nothing(tmp_path: Path, made: type, plant: Callable[[Path], object]) -> None:
    plant(tmp_path)
    for wrong in (0, -3, float("nan")):
        with pytest.raises(ConfigError, match=rf"max_depth={wrong:g} is no distance in metres"):
            made(location=str(tmp_path), max_depth=wrong)
    with pytest.raises(ConfigError, match="start=99 leaves none of"):
        made(location=str(tmp_path), start=99)


EIGHT_BITS = {DdadSource, DimlSource, KittiSelectionSource, KittiStereoSource, MogeSource}


@pytest.mark.parametrize(("made", "plant"), [one for one in SETS if one[0] in EIGHT_BITS])
def test_depth_that_a_viewer_saved_again_is_refused(
    tmp_path: Path, made: type, plant: Callable[[Path], object]
) -> None:
    plant(tmp_path)
    source = made(location=str(tmp_path))
    index = next(i for i, pair in enumerate(source.pairs) if pair.depth is not None and pair.depth.suffix == ".png")
    Image.fromarray(np.full(SIZE, 200, np.uint8)).save(source.pairs[index].depth)
    with pytest.raises(DataError, match=rf"\.png' has 8 bits, and the depth of '{source.name}' has 16"):
        _ = source[index]


@pytest.mark.parametrize(("made", "plant"), SETS, ids=NAMES)
def test_folders_that_are_links(tmp_path: Path, made: type, plant: Callable[[Path], object]) -> None:
    plant(tmp_path / "disk")
    count = len(made(location=str(tmp_path / "disk")))
    root = tmp_path / "data"
    root.mkdir()
    for folder in (tmp_path / "disk").iterdir():
        (root / folder.name).symlink_to(folder)
        if folder.is_dir():
            (folder / "back").symlink_to(root)  # round in a circle
    assert len(made(location=str(root))) == count
