from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cache_doubles import Brightness, key, picture
from PIL import Image

from kdcli.cache import GtKdFolder, Shown, open_store
from kdcli.errors import ConfigError, DataError
from kdcli.types import DepthKind

KITTI = "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000005.png"
NYU = "kitchen_0028b/rgb_00045.jpg"
SIZE = (6, 8)


def image(name: str, size: tuple[int, int] = SIZE) -> Shown:
    return Shown(id=name, size=size, pixels="p")


def theirs(folder: Path, name: str, values: np.ndarray | None = None) -> None:
    """Write a map as the authors' own code would."""
    folder.mkdir(parents=True, exist_ok=True)
    grid = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000 if values is None else values
    Image.fromarray(grid).save(folder / name)


def folder(path: Path, source: str = "kitti", max_depth: float | None = None, **options: str) -> GtKdFolder:
    return GtKdFolder(path, key(Brightness(), **options), max_depth=max_depth, source=source)


@pytest.mark.parametrize(
    ("source", "name", "file", "far"),
    [
        ("kitti", KITTI, "2011_09_26_2011_09_26_drive_0002_sync_image_02_data_0000000005.png", 80.0),
        ("kitti", f"raw/{KITTI}", "2011_09_26_2011_09_26_drive_0002_sync_image_02_data_0000000005.png", 80.0),
        ("nyu", NYU, "kitchen_0028b_rgb_00045.png", 10.0),
        ("nyu", NYU, "data_nyu_kitchen_0028b_rgb_00045.png", 10.0),
    ],
)
def test_folders_of_the_authors_are_read(tmp_path: Path, source: str, name: str, file: str, far: float) -> None:
    theirs(tmp_path, file)
    store = open_store(str(tmp_path), key(), source=source)
    assert isinstance(store, GtKdFolder) and not store.writable and store.has(name)
    expected = torch.arange(48).view(6, 8) * 1000 / 65535 * far
    assert torch.allclose(store.look(image(name)), expected)
    before = sorted(tmp_path.iterdir())
    store.note("photos", {"count": 1, "done": 1, "sha256": ""})
    assert sorted(tmp_path.iterdir()) == before, "somebody else's folder is left as it is"


def test_what_is_written_is_what_the_authors_read(tmp_path: Path) -> None:
    store = folder(tmp_path / "gt_kd_mine_kitti")
    depth = torch.linspace(0.5, 80, 48).view(6, 8)
    depth[0, 0] = 0
    store.note("kitti:/data", {"count": 1, "done": 0, "sha256": ""})
    store.write(image(KITTI), depth)
    file = store.path / "2011_09_26_2011_09_26_drive_0002_sync_image_02_data_0000000005.png"
    raw = np.asarray(Image.open(file), dtype=np.float32) / 65535 * 80  # their loader
    assert np.abs(raw - depth.numpy()).max() <= 80 / 65535 / 2 * 1.01 and raw[0, 0] == 0
    again = open_store(str(store.path), key(), source="kitti")
    assert again.writable and torch.allclose(again.look(image(KITTI)), depth, atol=80 / 65535)
    with pytest.raises(DataError, match="was before"):
        again.look(Shown(id=KITTI, size=SIZE, pixels="changed"))
    with pytest.raises(ConfigError, match="is of teacher 'bright'"):
        open_store(str(store.path), key(Brightness(slope=3.0)), source="kitti")


def test_the_scale_must_be_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody says what 65535 means"):
        folder(tmp_path / "gt_kd", source="folder")
    assert folder(tmp_path / "gt_kd", source="folder", max_depth=20.0).max_depth == 20
    named = open_store(f"gt-kd:{tmp_path / 'new'},max_depth=25", key(), source="folder")
    assert isinstance(named, GtKdFolder) and named.max_depth == 25
    named.note("x", {"count": 1, "done": 0, "sha256": ""})
    kept = open_store(str(tmp_path / "new"), key(), source="folder")
    assert isinstance(kept, GtKdFolder) and kept.max_depth == 25
    with pytest.raises(ConfigError, match="made with max_depth=25, not 30"):
        open_store(f"gt-kd:{tmp_path / 'new'},max_depth=30", key(), source="folder")
    for bad in ("", f"{tmp_path},max_depth=far", f"{tmp_path},depth=3", f"{tmp_path},max_depth=-1"):
        with pytest.raises(ConfigError, match="is not gt-kd:DIR"):
            open_store(f"gt-kd:{bad}", key(), source="kitti")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    file = "2011_09_26_2011_09_26_drive_0002_sync_image_02_data_0000000005.png"
    theirs(tmp_path, file)
    store = folder(tmp_path)
    with pytest.raises(DataError, match=r"no map of image 'day/1\.png'"):
        store.look(picture(1))
    with pytest.raises(DataError, match=r"is 6x8 but image .* is 12x16; read the images with the crop"):
        store.look(image(KITTI, (12, 16)))
    theirs(tmp_path, file, np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(DataError, match="mode RGB"):
        store.look(image(KITTI))
    theirs(tmp_path, file)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:50])
    with pytest.raises(DataError, match="truncated"):
        store.look(image(KITTI))
    mine = folder(tmp_path / "mine", source="nyu")
    with pytest.raises(DataError, match="beyond max_depth=10"):
        mine.write(image(NYU), torch.full((6, 8), 11.0))
    with pytest.raises(DataError, match="is 12x16, not 6x8; use --size 12x16"):
        mine.write(image(NYU, (12, 16)), torch.ones(6, 8))
    with pytest.raises(ConfigError, match="holds metres"):
        GtKdFolder(tmp_path / "new", key(Brightness(DepthKind.AFFINE_DEPTH)), max_depth=1.0, source="kitti")


def test_maps_follow_images_to_another_size(tmp_path: Path) -> None:
    theirs(tmp_path, "kitchen_0028b_rgb_00045.png", np.full((12, 16), 32768, np.uint16))
    store = folder(tmp_path, source="nyu")
    assert torch.allclose(store.look(image(NYU, (12, 16))), torch.full((6, 8), 32768 / 65535 * 10))


def test_a_folder_of_another_size_is_only_read(tmp_path: Path) -> None:
    made = GtKdFolder(tmp_path / "gt_kd", key(size=(480, 640)), max_depth=None, source="nyu")
    made.note("nyu", {"count": 1, "done": 0, "sha256": ""})
    grid = 0.1 + 0.01 * torch.arange(480.0).view(480, 1).expand(480, 640)
    made.write(image(NYU, (480, 640)), grid)
    cut = GtKdFolder(tmp_path / "gt_kd", key(size=(427, 565)), max_depth=None, source="nyu")
    assert not cut.writable and cut.bytes_for(10) == 0 and cut.document()["key"] == made.document()["key"]
    border = Shown(id=NYU, size=(427, 565), pixels="of another crop")
    assert torch.allclose(cut.look(border), grid[45:472, 43:608], atol=2e-4)
    half = GtKdFolder(tmp_path / "gt_kd", key(size=(240, 320)), max_depth=None, source="nyu")
    assert half.look(image(NYU, (480, 640))).shape == (240, 320)
    with pytest.raises(ConfigError, match="is of teacher"):
        GtKdFolder(tmp_path / "gt_kd", key(Brightness(slope=2.0), (240, 320)), max_depth=None, source="nyu")
