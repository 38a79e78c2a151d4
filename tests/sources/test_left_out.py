"""What pairing leaves out, decides or cannot read is named, with how many and which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdcli.errors import DataError
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.listing import is_hidden, list_files


def said(spec: str, level: str | None = None) -> list[str]:
    return [f.message for f in survey(load_source(spec)).findings if level in (None, f.level)]


def pairs(root: Path, photo: Any, depth16: Any, n: int = 3, value: int = 1000) -> None:
    for i in range(n):
        photo(root / "rgb" / f"{i}.png", seed=i)
        depth16(root / "depth" / f"{i}.png", value=value + i)


def predicted(root: Path, name: str, kind: str = "metric") -> None:
    """What ``kdcli predict`` leaves of one photograph."""
    root.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((12, 16), 2000, np.uint16)).save(root / f"{name}.depth.png")
    Image.fromarray(np.zeros((14, 16, 3), np.uint8)).save(root / f"{name}.colour.png")
    (root / f"{name}.json").write_text(json.dumps({"kdcli": "1", "depth_kind": kind, "name": name, "step": 0.001}))


def test_frames_without_a_partner(tmp_path: Path, photo: Any, depth16: Any) -> None:
    pairs(tmp_path, photo, depth16)
    photo(tmp_path / "rgb" / "8.png", seed=8)
    depth16(tmp_path / "depth" / "9.png")
    images, depths = said(f"rgbd:{tmp_path}")
    assert images.startswith("1 image has no depth map of its name") and "rgb/8.png" in images
    assert depths.startswith("1 depth map has no image of its name") and "depth/9.png" in depths
    messages = said(f"folder:{tmp_path}/rgb,depths={tmp_path}/depth")
    assert [m[:16] for m in messages] == ["1 depth map has ", "1 of 4 images ha"] and "rgb/8.png" in messages[1]


def test_a_scene_that_lacks_its_depth(tmp_path: Path, photo: Any, depth16: Any) -> None:
    pairs(tmp_path / "a", photo, depth16)
    photo(tmp_path / "b" / "rgb" / "0.png", seed=7)
    photo(tmp_path / "c" / "0.color.png", seed=8)
    (message,) = said(f"rgbd:{tmp_path}")
    assert message.startswith("2 images have no depth") and "b/rgb/0.png" in message and "c/0.color.png" in message


def test_two_files_of_one_name(tmp_path: Path, photo: Any, depth16: Any) -> None:
    pairs(tmp_path, photo, depth16, n=1)
    Image.fromarray(np.full((12, 16), 90, np.uint8)).save(tmp_path / "depth" / "0.png")
    np.save(tmp_path / "depth" / "0.npy", np.full((12, 16), 3.0, np.float32))
    photo(tmp_path / "rgb" / "0.jpg", seed=5)
    spec = f"rgbd:{tmp_path}"
    assert [s.depth.mean().item() for s in map(load_source(spec).__getitem__, (0, 1))] == [3.0, 3.0]
    maps, images = said(spec, "warning")
    assert maps.startswith("1 map is left out because another has the same name") and "0.png" in maps
    assert "0.npy' is used" in maps and images.startswith("1 image has the name of another")


def test_hidden_files_are_none(tmp_path: Path, photo: Any, depth16: Any) -> None:
    pairs(tmp_path, photo, depth16)
    for name in ("rgb/._0.png", "depth/._0.png", "rgb/Thumbs.db", "__MACOSX/rgb/0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"Mac OS X")
    photo(tmp_path / "rgb" / ".ipynb_checkpoints" / "0-checkpoint.png")
    assert said(f"rgbd:{tmp_path}") == [] and len(load_source(f"rgbd:{tmp_path}")) == 3
    assert len(load_source(f"folder:{tmp_path}/rgb,recursive=true")) == 3
    assert len(load_source(f"folder:{tmp_path}/**/*.png")) == 6
    names = ("._a.png", ".ipynb_checkpoints", "Thumbs.db", "@eaDir", "a.png")
    assert [is_hidden(name) for name in names] == [True, True, True, True, False]


def test_links_in_a_circle_are_no_folders(tmp_path: Path, photo: Any, depth16: Any) -> None:
    pairs(tmp_path, photo, depth16)
    (tmp_path / "round").symlink_to(tmp_path / "round")
    (tmp_path / "rgb" / "up").symlink_to(tmp_path)
    assert len(load_source(f"rgbd:{tmp_path}")) == 3
    assert len(load_source(f"folder:{tmp_path},recursive=true")) == 6
    (tmp_path / "depth").rename(tmp_path / "d")
    with pytest.raises(DataError, match=r"3 images such as .* and no depth map"):
        load_source(f"rgbd:{tmp_path}")


def test_hidden_files_in_nyu_and_kitti(tmp_path: Path, photo: Any, depth16: Any) -> None:
    photo(tmp_path / "n" / "attic" / "rgb_0.jpg")
    photo(tmp_path / "n" / ".ipynb_checkpoints" / "rgb_0-checkpoint.jpg")
    depth16(tmp_path / "n" / "attic" / "sync_depth_00000.png")
    source = load_source(f"nyu:{tmp_path}/n")
    assert [(p.id, p.depth) for p in source.pairs] == [  # type: ignore[attr-defined]
        ("attic/rgb_0.jpg", tmp_path / "n" / "attic" / "sync_depth_00000.png")
    ]
    data = tmp_path / "k" / "2011_09_26" / "2011_09_26_drive_0001_sync" / "image_02" / "data"
    photo(data / "0000000000.png")
    (data / "._0000000000.png").write_bytes(b"Mac OS X")
    assert len(load_source(f"kitti:{tmp_path}/k")) == 1


def test_own_outputs_are_no_photographs(tmp_path: Path, photo: Any) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.colour.png", seed=2)  # nobody's sidecar beside it
    predicted(tmp_path, "a")
    photo(tmp_path / "runs" / "first" / "picture.png")
    for name, text in (("config.toml", ""), ("manifest.json", "{}")):
        (tmp_path / "runs" / "first" / name).write_text(text)
    source = load_source(f"folder:{tmp_path},recursive=true")
    assert [pair.id for pair in source.pairs] == ["a.png", "b.colour.png"]  # type: ignore[attr-defined]
    (message,) = [m for m in said(f"folder:{tmp_path}") if "kdcli itself" in m]
    assert message.startswith("2 files were written by kdcli itself")
    with pytest.raises(DataError, match=r"but what kdcli predict wrote.*folder:IMAGES,depths=PREDICTIONS"):
        load_source(f"rgbd:{tmp_path}")
    assert [path.name for path in list_files(tmp_path, {".png"})] == ["a.png", "b.colour.png"]


@pytest.mark.parametrize(("kind", "level"), [("metric", "info"), ("affine_disparity", "warning")])
def test_predictions_are_depth_where_somebody_says_so(tmp_path: Path, photo: Any, kind: str, level: str) -> None:
    photo(tmp_path / "in" / "a.png")
    predicted(tmp_path / "out", "a", kind)
    spec = f"folder:{tmp_path}/in,depths={tmp_path}/out"
    assert load_source(spec)[0].depth.mean() == 2.0  # type: ignore[union-attr]
    (message,) = [m for m in said(spec, level) if "predictions of kdcli" in m]
    assert ("has no metres" in message) == (kind != "metric")


def test_masks_beside_depth(tmp_path: Path, photo: Any) -> None:
    for i, (ending, mask) in enumerate(((".npy", "_depth_mask.npy"), (".npy", "_valid.png"), (".npy", "_mask.npy"))):
        stem = tmp_path / "indoors" / "scene_0" / f"{i}_indoors_{i}"
        photo(stem.with_name(f"{stem.name}.png"), seed=i)
        depth = np.full((12, 16, 1), 2.0, np.float32)
        depth[:3] = 99
        np.save(f"{stem}_depth{ending}", depth)
        good = np.arange(12)[:, None].repeat(16, 1) >= 3
        if mask.endswith(".npy"):
            np.save(f"{stem}{mask}", good if i == 2 else good.astype(np.float32))
        else:
            Image.fromarray(good.astype(np.uint8) * 255).save(f"{stem}{mask}")
    for spec in (f"rgbd:{tmp_path}", f"folder:{tmp_path},depths={tmp_path},recursive=true"):
        report = survey(load_source(spec))
        assert report.n == 3 and report.depth == {"min": 2.0, "median": 2.0, "max": 2.0, "holes": 0.25}
        assert [f.message[:26] for f in report.findings] == ["3 depth maps have masks, w"]


def test_masks_of_unknown_meaning_are_named(tmp_path: Path, photo: Any, depth16: Any) -> None:
    pairs(tmp_path, photo, depth16)
    depth16(tmp_path / "mask" / "0.png")
    depth16(tmp_path / "depth" / "1_invalid.png")
    (message,) = said(f"rgbd:{tmp_path}")
    assert message.startswith("2 masks are not used") and "1_invalid.png" in message and "/mask'" in message


def test_arrays_that_may_be_masks_are_named(tmp_path: Path, photo: Any) -> None:
    photo(tmp_path / "a.png")
    whole = np.full((12, 16), 2.0, np.float32)
    np.savez(tmp_path / "a_depth.npz", depth=whole, confidence=whole, normals=whole, valid=whole > 0)
    (message,) = said(f"rgbd:{tmp_path}")
    assert message.endswith("may be masks and are not used: confidence")


def test_a_mask_turns_with_the_photograph(tmp_path: Path, photo: Any, depth16: Any) -> None:
    photo(tmp_path / "rgb" / "0.jpg")
    tag = Image.Exif()
    tag[0x0112] = 6
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(tmp_path / "rgb" / "0.jpg", exif=tag)
    depth16(tmp_path / "depth" / "0.png")
    good = np.ones((12, 16), bool)
    good[0, :4] = False  # the top left of the stored pixels is the top right of the upright ones
    np.save(tmp_path / "depth" / "0_mask.npy", good)
    sample: Any = load_source(f"rgbd:{tmp_path}")[0]
    assert sample.image.shape[1:] == sample.valid.shape[1:] == (16, 12)
    assert (~sample.valid[0]).nonzero().tolist() == [[i, 11] for i in range(4)]
    assert (sample.depth[~sample.valid] == 0).all()


def test_a_mask_of_another_size(tmp_path: Path, photo: Any, depth16: Any) -> None:
    pairs(tmp_path, photo, depth16, n=1)
    depth16(tmp_path / "depth" / "0_mask.png", height=6, width=8)
    with pytest.raises(DataError, match=r"mask '.*0_mask\.png' is 8x6 but its depth '.*0\.png' is 16x12"):
        load_source(f"rgbd:{tmp_path}")[0]


@pytest.mark.parametrize("ending", [".hdf5", ".h5", ".mat", ".jpg", ".JPG", ".bin"])
@pytest.mark.parametrize(
    "form", ["rgbd:{0}/two", "folder:{0}/two/rgb,depths={0}/two/depth", "rgbd:{0}/side", "nyu:{0}/nyu"]
)
def test_formats_that_are_not_read(tmp_path: Path, photo: Any, ending: str, form: str) -> None:
    for i in range(2):
        for image, depth in (
            (f"two/rgb/{i}.png", f"two/depth/{i}"), (f"side/{i}.png", f"side/{i}_depth"),
            (f"nyu/rgb_{i}.png", f"nyu/sync_depth_{i}"),
        ):
            photo(tmp_path / image, seed=i)
            (tmp_path / depth).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / f"{depth}{ending}").write_bytes(b"numbers")
    spec = form.format(tmp_path)
    if spec.startswith("nyu"):
        message = " ".join(said(spec))
    else:
        with pytest.raises(DataError) as error:
            load_source(spec)
        message = str(error.value)
    assert f"{ending.lower()} (2 files)" in message and "16-bit PNG or float32 NPY" in message


def test_one_of_another_format(tmp_path: Path, photo: Any, depth16: Any) -> None:
    pairs(tmp_path, photo, depth16)
    (tmp_path / "depth" / "2.png").rename(tmp_path / "depth" / "2.bin")
    for spec in (f"rgbd:{tmp_path}", f"folder:{tmp_path}/rgb,depths={tmp_path}/depth"):
        assert any(m.startswith("1 depth file ends in .bin") for m in said(spec, "warning"))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("rgb/a.png", "depth/b.png", "rgb/c.png"), ("2 images", "depth/b.png", "no name in common")),
        (("rgb/a.png", "depth/readme.txt"), ("depth' holds .txt (1 file)",)),
        (("rgb/a.heic", "depth/a.png"), ("rgb' holds .heic (1 file)",)),
        (("left/a.png", "disparity/a.png"), ("disparity", "focal length * baseline / disparity")),
        (("rgb/a.png",), ("1 images", "no depth map")),
    ],
)
def test_what_is_there_is_not_denied(
    tmp_path: Path, photo: Any, depth16: Any, files: tuple[str, ...], words: tuple[str, ...]
) -> None:
    for name in files:
        write = photo if name.startswith(("rgb", "left")) else depth16
        if name.endswith(".png"):
            write(tmp_path / name)
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError) as error:
        load_source(f"rgbd:{tmp_path}")
    assert all(word in str(error.value) for word in words) and "neither" not in str(error.value)


@pytest.mark.parametrize(
    ("image", "depth", "spec"),
    [
        ("rgb/{}.png", "{}.png", "folder:{0}/rgb,depths={0}"),
        ("{}.png", "{}_depth.png", "folder:{0},depths=."),
        ("{}.png", "{}_depth.png", "folder:{0},depths={0}"),
        ("{}.jpg", "{}.png", "folder:{0},depths=."),
        ("a/rgb/{}.png", "a/{}.png", "folder:{0}/a/rgb,depths=.."),
        ("{}.png", "maps/{}.png", "folder:{0},depths=maps,recursive=true"),
    ],
)
def test_depth_around_within_and_beside_the_images(
    tmp_path: Path, photo: Any, depth16: Any, monkeypatch: pytest.MonkeyPatch, image: str, depth: str, spec: str
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    for i in range(3):
        photo(tmp_path / image.format(i), seed=i)
        depth16(tmp_path / depth.format(i), value=1000 + i)
    source = load_source(spec.format(tmp_path))
    assert [round(s.depth.mean().item(), 3) for s in map(source.__getitem__, range(len(source)))] == [1, 1.001, 1.002]
    assert source.check() == []


def test_depth_maps_among_the_images_are_named(tmp_path: Path, photo: Any, depth16: Any) -> None:
    photo(tmp_path / "a.png")
    depth16(tmp_path / "a_depth.png")
    photo(tmp_path / "depth_of_field.png", seed=4)
    (message,) = said(f"folder:{tmp_path}")
    assert message.startswith("1 image is called like the depth map") and "a_depth.png" in message


def test_disparity_beside_depth_is_neither(tmp_path: Path, photo: Any, depth16: Any) -> None:
    for i in range(2):
        photo(tmp_path / f"img_{i}.jpg", seed=i)
        depth16(tmp_path / f"img_{i}_depth.png")
        depth16(tmp_path / f"img_{i}_disparity.png", value=9)
    for spec in (f"rgbd:{tmp_path}", f"folder:{tmp_path},depths=."):
        source: Any = load_source(spec)
        found = {pair.id: pair.depth for pair in source.pairs if pair.depth is not None}
        assert {name: path.name for name, path in found.items()} == {
            "img_0.jpg": "img_0_depth.png", "img_1.jpg": "img_1_depth.png",
        }  # fmt: skip


def test_disparity_that_somebody_points_at_is_doubted(tmp_path: Path, photo: Any, depth16: Any) -> None:
    photo(tmp_path / "rgb" / "0.png")
    depth16(tmp_path / "disparity" / "0.png")
    (message,) = said(f"folder:{tmp_path}/rgb,depths={tmp_path}/disparity")
    assert message.startswith("1 map is called disparity and is read as depth")


def test_two_folders_that_could_both_be_meant(tmp_path: Path, photo: Any, depth16: Any) -> None:
    for name in ("rgb", "depth_raw", "depth_filled"):
        for i in range(2):
            (photo if name == "rgb" else depth16)(tmp_path / name / f"{i}.png")
    with pytest.raises(DataError, match=r"2 images such as .* and 4 depth maps such as .* have no name in common"):
        load_source(f"rgbd:{tmp_path}")


def test_scenes_below_a_layout_are_named(tmp_path: Path, photo: Any, depth16: Any) -> None:
    pairs(tmp_path, photo, depth16)
    pairs(tmp_path / "more", photo, depth16)
    assert any("folder below holds pairs of its own" in m and "/more'" in m for m in said(f"rgbd:{tmp_path}"))
