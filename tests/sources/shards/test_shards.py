"""``wds:`` reads samples of tar files, each by its index."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import shard_makers as makers
import torch

from kdcli.errors import ConfigError, DataError
from kdcli.sources.checks import survey
from kdcli.sources.shards.source import WdsSource
from kdcli.training.run.holdout import identity
from kdcli.types import Sample


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "cache"))


def metre(sample: Sample) -> float:
    """The one depth of a sample."""
    assert sample.depth is not None and sample.valid is not None and sample.valid.all()
    value = float(sample.depth.mean())
    assert torch.allclose(sample.depth, torch.tensor(value))
    return round(value, 6)


@pytest.mark.parametrize("where", ["train-{000000..000002}.tar", "*.tar", "", "train-00000{0,1,2}.tar"])
def test_samples_in_the_order_of_their_keys(tmp_path: Path, where: str) -> None:
    makers.rooms(tmp_path / "set")
    source = WdsSource(location=f"{tmp_path}/set/{where}".rstrip("/"))
    assert len(source) == 12 and source.depth_kind is not None
    samples = [source[i] for i in range(12)]
    assert [metre(sample) for sample in samples] == [float(n + 1) for n in range(12)]
    assert [sample.id for sample in samples[3:5]] == ["train-000000/000003", "train-000001/000004"]
    pixels = np.random.default_rng(5).integers(0, 256, (*makers.SIZE, 3), dtype=np.uint8)
    assert torch.equal((samples[5].image * 255).round().byte().permute(1, 2, 0), torch.from_numpy(pixels))
    assert [sample.intrinsics.tolist() for sample in samples[:2]] == [[100, 100, 4, 3], [101, 101, 4, 3]]
    assert not survey(source).findings


def test_some_of_them(tmp_path: Path) -> None:
    makers.rooms(tmp_path)
    source = WdsSource(location=str(tmp_path), start=2, every=3, count=3)
    assert [metre(source[i]) for i in range(3)] == [3, 6, 9] and metre(source[-1]) == 9
    with pytest.raises(IndexError):
        _ = source[3]
    with pytest.raises(ConfigError, match="start=12 leaves none of the 12 items"):
        WdsSource(location=str(tmp_path), start=12)


def test_processes_share_the_samples(tmp_path: Path) -> None:
    makers.rooms(tmp_path)
    source = WdsSource(location=str(tmp_path))
    again = pickle.loads(pickle.dumps(source))
    assert [again[i].id for i in range(12)] == [source[i].id for i in range(12)] and metre(again[7]) == 8
    loader = torch.utils.data.DataLoader(source, batch_size=None, num_workers=2)
    assert [metre(sample) for sample in loader] == [float(n + 1) for n in range(12)]


def test_images_of_one_tar_are_told_apart_when_some_are_held_out(tmp_path: Path) -> None:
    makers.rooms(tmp_path / "a")
    one, other = WdsSource(location=f"{tmp_path}/a"), WdsSource(location=f"{tmp_path}/a/*.tar", start=4)
    assert len({identity(one, i) for i in range(12)}) == 12
    assert [identity(one, i + 4) for i in range(8)] == [identity(other, i) for i in range(8)]
    (tmp_path / "a" / "train-000000.tar").unlink()
    assert identity(one, 0) != identity(one, 1)


def test_what_a_sample_may_hold(tmp_path: Path) -> None:
    depth = np.full(makers.SIZE, 2.5, np.float32)
    mask, ids = np.ones(makers.SIZE, np.uint8), np.zeros(makers.SIZE, np.uint8)
    mask[0], ids[:3] = 0, 7
    files = {
        "./in/a.jpg": makers.photo(0), "./in/a.npy": makers.npy(depth), "./in/a.valid.png": makers.png(mask * 255),
        "./in/a.seg.png": makers.png(ids), "./in/a.txt": b"a room", "./in/b.png": makers.photo(1),
        "__meta__.json": b"{}", "README": b"none", "./._a.jpg": b"x",
    }  # fmt: skip
    makers.shard(tmp_path / "one.tar", files)
    with pytest.raises(ConfigError, match=r"which is the image\? Say it with image=SUFFIX"):
        WdsSource(location=f"{tmp_path}/one.tar")
    source = WdsSource(location=f"{tmp_path}/one.tar", image="jpg;png", mask="valid.png", instances="seg.png")
    first, second = source[0], source[1]
    assert (first.id, second.id, len(source)) == ("one/in/a", "one/in/b", 2)
    assert first.depth is not None and first.valid is not None and first.instances is not None
    assert not first.valid[0, 0].any() and first.valid[0, 1:].all() and float(first.depth[0, 3, 3]) == 2.5
    assert first.instances[:3].eq(7).all() and not first.instances[3:].any() and first.intrinsics is None
    assert second.depth is None and second.instances is not None and not second.instances.any()
    said = [finding.message for finding in survey(source).findings]
    assert any("are not used, by suffix: txt (1)" in message for message in said)
    given = WdsSource(location=f"{tmp_path}/one.tar", image="jpg", depth="none", focal=50)
    assert given.depth_kind is None and given[0].intrinsics is not None
    assert given[0].intrinsics.tolist() == [50, 50, 3.5, 2.5]
    assert "1 samples of" in survey(given).findings[0].message  # b has no jpg


def test_encodings_and_units(tmp_path: Path) -> None:
    stored = np.full(makers.SIZE, 512, np.uint16)
    makers.shard(tmp_path / "a.tar", {"0.jpg": makers.photo(0), "0.depth.png": makers.png(stored)})
    where = f"{tmp_path}/a.tar"
    assert metre(WdsSource(location=where)[0]) == 0.512 and metre(WdsSource(location=where, codec="kitti")[0]) == 2
    assert metre(WdsSource(location=where, scale=512)[0]) == 1
    assert metre(WdsSource(location=where, codec="kitti-disparity", focal_baseline=8)[0]) == 4
    with pytest.raises(ConfigError, match=r"depth encoding 'kity' is unknown\. Did you mean 'kitti'"):
        WdsSource(location=where, codec="kity")
    valid = WdsSource(location=where, scale=100, max_depth=5)[0].valid
    assert valid is not None and not valid.any()


@pytest.mark.parametrize(
    "names", [("f.0001.jpg", "f.0001.png", "f.0002.jpg"), ("a.b.rgb.jpg", "c.d.rgb.jpg"), ("x/f.12.rgb.png",)]
)
def test_keys_that_would_become_one_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    makers.shard(tmp_path / "a.tar", {name: makers.photo(0) for name in names})
    with pytest.raises(DataError, match=rf"a\.tar:{names[0]}' has dots in its name .* a key ends at the first dot"):
        WdsSource(location=f"{tmp_path}/a.tar")


def test_a_file_that_is_there_twice(tmp_path: Path) -> None:
    makers.shard(tmp_path / "a.tar", {"0.jpg": makers.photo(0), "./0.jpg": makers.photo(1)})
    with pytest.raises(DataError, match=r"a\.tar:\./0\.jpg' is there twice"):
        WdsSource(location=f"{tmp_path}/a.tar")


def test_two_sorts_of_depth(tmp_path: Path) -> None:
    files = {"0.jpg": makers.photo(0), "0.depth.png": makers.millimetres(1), "0.depth_raw.png": makers.millimetres(2)}
    makers.shard(tmp_path / "a.tar", files)
    with pytest.raises(ConfigError, match=r"has files .*, depth_raw\.png \(1\): which is the depth\?"):
        WdsSource(location=f"{tmp_path}/a.tar")
    assert metre(WdsSource(location=f"{tmp_path}/a.tar", depth="depth_raw.png")[0]) == 2
    with pytest.raises(DataError, match=r"depth=d\.png: no file in .* has that suffix; there are jpg \(1\)"):
        WdsSource(location=f"{tmp_path}/a.tar", depth="d.png")


def test_a_picture_of_depth_is_refused(tmp_path: Path) -> None:
    makers.shard(tmp_path / "a.tar", {"0.jpg": makers.photo(0), "0.depth.png": makers.photo(1)})
    with pytest.raises(DataError, match=r"a\.tar:0\.depth\.png' is a picture of mode RGB, not a depth map"):
        _ = WdsSource(location=f"{tmp_path}/a.tar")[0]


@pytest.mark.parametrize("told", [b"[1, 2]", b'[[1], "x"]', b"[]", b"["])
def test_a_camera_that_is_none(tmp_path: Path, told: bytes) -> None:
    makers.shard(tmp_path / "a.tar", {"0.jpg": makers.photo(0), "0.json": b'{"intrinsics": ' + told + b"}"})
    with pytest.raises(DataError, match=r"a\.tar:0\.json' has no intrinsics of 3 x 3 or 4 numbers"):
        _ = WdsSource(location=f"{tmp_path}/a.tar")[0]


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("train-{000000..000003}.tar", "'{}/train-000003.tar', one of 4 shards of .* does not exist"),
        ("gone.tar", "'{}/gone.tar' does not exist; give tar files"),
        ("none-*.tar", "'{}/none-.*' names no tar file"),
        ("train-{000003..000000}.tar", "counts from 3 to 0; write the smaller number first"),
    ],
)
def test_shards_that_are_not_there(tmp_path: Path, location: str, said: str) -> None:
    makers.rooms(tmp_path)
    with pytest.raises(DataError, match=said.replace("{}", str(tmp_path))):
        WdsSource(location=f"{tmp_path}/{location}")
