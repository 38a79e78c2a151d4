"""Folders of images with maps of object ids, and sets that ``kdcli mix`` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdcli.errors import ConfigError, DataError
from kdcli.images import read_image
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.instances import read_instances, resize_instances
from kdcli.testing import check_source
from kdcli.training.single.mix_set import mix_set
from kdcli.types import DepthKind

IDS = np.zeros((12, 16), np.uint16)
IDS[2:6, 3:9] = 7
IDS[7:, 10:] = 300


def store(path: Path, array: np.ndarray[Any, Any], mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(array)
    if mode == "P":
        picture = picture.convert("P") if array.ndim == 3 else Image.frombytes("P", picture.size, array.tobytes())
        picture.putpalette([(i * 37) % 256 for i in range(768)])
    picture.save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path, photo: Any) -> Path:
    for i in range(3):
        photo(tmp_path / "photos" / f"{i}.jpg", seed=i)
        store(tmp_path / "ids" / f"{i}.png", IDS + np.uint16(i) * (IDS > 0))
    return tmp_path


def said(spec: str) -> list[str]:
    return [f"{finding.level}: {finding.message}" for finding in survey(load_source(spec)).findings]


def test_numbers_of_16_and_8_bits(tmp_path: Path) -> None:
    ids = read_instances(store(tmp_path / "a.png", IDS))
    assert ids.dtype == torch.int64 and torch.equal(ids, torch.from_numpy(IDS.astype(np.int64)))
    assert read_instances(store(tmp_path / "b.png", (IDS % 256).astype(np.uint8))).unique().tolist() == [0, 7, 44]
    assert read_instances(store(tmp_path / "c.png", IDS > 0)).unique().tolist() == [0, 1]
    assert torch.equal(read_instances(store(tmp_path / "d.tif", IDS)), ids)
    np.save(tmp_path / "e.npy", IDS.astype(np.int32))
    assert torch.equal(read_instances(tmp_path / "e.npy"), ids)


def test_a_palette_holds_indices_not_colours(tmp_path: Path) -> None:
    array = (IDS % 256).astype(np.uint8)
    array[0] = 255
    path = store(tmp_path / "a.png", array, "P")
    assert Image.open(path).mode == "P"
    assert read_instances(path).unique().tolist() == [0, 7, 44, 255]
    assert read_instances(path, void=255).unique().tolist() == [0, 7, 44]


@pytest.mark.parametrize("alpha", [False, True])
def test_a_colour_an_object(tmp_path: Path, alpha: bool) -> None:
    colours = np.zeros((12, 16, 4 if alpha else 3), np.uint8)
    colours[IDS == 7, :3] = (0, 0, 200)
    colours[IDS == 300, :3] = (9, 1, 0)
    colours[0, :3, :3] = (9, 0, 0)
    ids = read_instances(store(tmp_path / "a.png", colours))
    assert ids[IDS == 7].unique().tolist() == [3] and ids[IDS == 300].unique().tolist() == [2]
    assert ids[0, :5].tolist() == [1, 1, 1, 0, 0]
    assert read_instances(tmp_path / "a.png", void=9).unique().tolist() == [0, 1, 2]
    colours[..., :3] += 1  # no black: every pixel is of some object
    assert read_instances(store(tmp_path / "b.png", colours)).unique().tolist() == [1, 2, 3, 4]


def test_what_holds_no_ids(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IDS.astype(np.float32))
    with pytest.raises(DataError, match="not whole numbers"):
        read_instances(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", IDS.astype(np.int32) - 1)
    with pytest.raises(DataError, match="object id -1"):
        read_instances(tmp_path / "b.npy")
    store(tmp_path / "c.tif", IDS.astype(np.float32))
    with pytest.raises(DataError, match="mode F, not object ids"):
        read_instances(tmp_path / "c.tif")
    with pytest.raises(DataError, match="does not exist"):
        read_instances(tmp_path / "d.png")


@pytest.mark.parametrize("size", [(5, 7), (24, 32), (13, 40), (12, 16)])
def test_resizing_makes_no_new_id(size: tuple[int, int]) -> None:
    ids = torch.from_numpy(IDS.astype(np.int64)) * 50_000_000_017  # more than 32-bit floats or integers hold
    sized = resize_instances(ids, size)
    assert sized.shape == size and sized.dtype == torch.int64
    assert set(sized.unique().tolist()) <= set(ids.unique().tolist())
    assert (sized > 0).double().mean().item() == pytest.approx((ids > 0).double().mean().item(), abs=0.08)


def test_a_folder_of_ids_beside_the_images(photos: Path) -> None:
    source = load_source(f"folder:{photos}/photos,instances={photos}/ids")
    assert source.depth_kind is None and len(source) == 3
    assert [source[i].instances.unique().tolist() for i in range(3)] == [[0, 7 + i, 300 + i] for i in range(3)]
    report = survey(source)
    assert report.objects == {"mean": 2.0, "most": 2, "without": 0.0} and report.findings == []
    below = load_source(f"folder:{photos}/photos,instances=../ids")
    assert torch.equal(below[1].instances, source[1].instances)
    assert load_source(f"folder:{photos}/photos,instances=../ids,void=7")[0].instances.unique().tolist() == [0, 300]


def test_ids_of_another_size(photos: Path) -> None:
    big = IDS.repeat(2, 0).repeat(2, 1)
    store(photos / "ids" / "0.png", big)
    store(photos / "ids" / "1.png", IDS[:, :15])
    source = load_source(f"folder:{photos}/photos,instances=../ids")
    assert torch.equal(source[0].instances, torch.from_numpy(IDS.astype(np.int64)))
    with pytest.raises(DataError, match=r"1\.jpg' is 16x12 but its object ids '.*1\.png' are 15x12"):
        source[1]
    assert [finding.level for finding in source.check()] == ["error"]


def test_images_without_ids_have_none_but_0(photos: Path) -> None:
    (photos / "ids" / "1.png").unlink()
    spec = f"folder:{photos}/photos,instances=../ids"
    assert load_source(spec)[1].instances.tolist() == np.zeros((12, 16)).tolist()
    (only,) = said(spec)
    assert only.startswith("warning: 1 of 3 images have no object ids, such as") and "1.jpg" in only
    for i in (0, 2):
        store(photos / "ids" / f"{i}.png", IDS * 0)
    assert "none of the 3 images read has an object" in said(spec)[0]


def test_broken_ids_are_named(photos: Path) -> None:
    path = photos / "ids" / "2.png"
    path.write_bytes(path.read_bytes()[:60])
    findings = load_source(f"folder:{photos}/photos,instances=../ids").check()
    assert [(f.level, f.path) for f in findings] == [("error", str(photos / "photos/../ids/2.png"))]


def test_ids_that_do_not_fit(photos: Path) -> None:
    with pytest.raises(DataError, match="instance folder 'nope'"):
        load_source(f"folder:{photos}/photos,instances=nope")
    store(photos / "other" / "x.png", IDS)
    with pytest.raises(DataError, match="none of 1 maps of object ids"):
        load_source(f"folder:{photos}/photos,instances=../other")
    (photos / "a.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(ConfigError, match="give one of them"):
        load_source(f"folder:{photos}/photos,instances=../ids,coco={photos}/a.json")


def test_a_folder_of_ids_below_the_images_is_no_image(photos: Path) -> None:
    (photos / "ids").rename(photos / "photos" / "ids")
    assert len(load_source(f"folder:{photos}/photos,instances=ids,recursive=true")) == 3


def test_the_kit(photos: Path) -> None:
    check_source(f"folder:{photos}/photos,instances=../ids")


@pytest.mark.parametrize("mixer", ["object", "object,occlusion=true"])
def test_a_mixed_set_is_read_back_as_it_was_written(tmp_path: Path, mixer: str) -> None:
    out = tmp_path / "set"
    mix_set("sim:blocks,count=8", [mixer], count=5, out=out, size=(32, 48))
    source = load_source(f"folder:{out}")
    assert [source[i].id for i in range(len(source))] == [f"00000{i}.png" for i in range(5)]
    for i in range(5):
        sample = source[i]
        assert torch.equal(sample.image, read_image(out / "images" / f"00000{i}.png"))
        stored = np.array(Image.open(out / "instances" / f"00000{i}.png"))
        assert stored.max() > 0 and np.array_equal(sample.instances.numpy(), stored)
        if "occlusion" in mixer:
            metres = np.array(Image.open(out / "depth" / f"00000{i}.png")) / 1000
            assert np.allclose(sample.depth[0].numpy(), metres) and (sample.valid[0].numpy() == (metres > 0)).all()
    assert source.depth_kind is (DepthKind.METRIC if "occlusion" in mixer else None)
    assert said(f"folder:{out}") == []
    named = load_source(f"folder:{out}/images,instances={out}/instances")
    assert torch.equal(named[3].instances, source[3].instances)
    assert load_source(f"folder:{out}/images")[0].instances is None
    check_source(f"folder:{out}")


def test_a_mixed_set_is_mixed_again(tmp_path: Path) -> None:
    mix_set("sim:blocks,count=8", ["none"], count=4, out=tmp_path / "plain", size=(32, 48))
    mix_set(f"folder:{tmp_path}/plain", ["object"], count=4, out=tmp_path / "mixed")
    again = load_source(f"folder:{tmp_path}/mixed,recursive=true")
    plain = load_source(f"folder:{tmp_path}/plain")
    assert len(again) == 4 and again[0].image.shape == (3, 32, 48)
    assert any(all(not torch.equal(again[i].image, plain[j].image) for j in range(4)) for i in range(4))
    assert all(again[i].instances.any() for i in range(4))
