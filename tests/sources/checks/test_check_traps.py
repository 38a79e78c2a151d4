"""Each trap that depth data are known for is named, in the user's own paths; ordinary data are not accused of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from check_scenes import scene, write
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kdcli.sources import load_source
from kdcli.sources.checks import Survey, survey


def said(report: Survey, words: str) -> str:
    """Return the one finding with these words."""
    (found,) = [one for one in report.findings if words in one.message]
    assert found.level in ("warning", "error")
    return found.message


def of(spec: str) -> Survey:
    return survey(load_source(spec))


@pytest.mark.parametrize("scale", [1000, 5000, 256])
def test_ordinary_depth(tmp_path: Path, scale: int) -> None:
    spec = write(tmp_path, scale=scale)
    report = of(f"{spec},scale={scale}")
    assert report.findings == [] and report.depth is not None and 1 < report.depth["median"] < 6
    assert sum(share for _, _, share in report.histogram) == pytest.approx(1)
    assert report.histogram[0][0] <= report.depth["min"] and report.histogram[-1][1] >= report.depth["max"]


def test_two_scales_side_by_side(tmp_path: Path) -> None:
    write(tmp_path, 4, scale=1000)
    message = said(of(write(tmp_path, 4, scale=5000, first=4)), "two groups")
    assert "4 with medians" in message and "and 4 from" in message and "scale=" in message
    assert any(f"depth/{i}.png" in message for i in range(4, 8))


def rotated(millimetres: np.ndarray) -> np.ndarray:
    whole = millimetres.round().astype(np.uint16)
    return ((whole << 3) | (whole >> 13)).astype(np.uint16)


@pytest.mark.parametrize("factor", [1, 2])  # up to 6 and 12 m
def test_rotated_bits(tmp_path: Path, factor: float) -> None:
    write(tmp_path, 4, change=lambda x: 1.0 * x)
    spec = write(tmp_path, 2, change=lambda x: factor * x, first=4, store=rotated)
    message = said(of(spec), "bits were rotated by three")
    assert "2 of 6 depth maps" in message and f"{tmp_path}/depth/4.png" in message and "codec=sunrgbd" in message


def test_bytes_that_were_stretched(tmp_path: Path) -> None:
    def store(depth: np.ndarray) -> np.ndarray:
        return (np.rint(depth / depth.max() * 255) * 257).astype(np.uint16)

    message = said(of(write(tmp_path, 3, store=store) + ",scale=10000"), "stretched")
    assert "3 of 3" in message and "multiples of 257" in message


def test_a_sky_that_was_clipped(tmp_path: Path) -> None:
    spec = write(tmp_path, 6, change=lambda x: (x * 30).clip(0, 80), scale=256)
    message = said(of(f"{spec},scale=256"), "exactly 80 m")
    assert "6 of 6" in message and "no measurement" in message


@pytest.mark.parametrize("mark", [65535, 0])
def test_marks_of_cameras_are_holes(tmp_path: Path, mark: int) -> None:
    def store(depth: np.ndarray) -> np.ndarray:
        whole = depth.round().astype(np.uint16)
        whole[:20] = mark
        return whole

    report = of(write(tmp_path, 3, store=store))
    assert report.findings == [] and report.depth is not None
    assert report.depth["holes"] == pytest.approx(20 / 96) and report.depth["max"] < 7


@pytest.mark.parametrize("mark", [np.inf, np.nan, -9.999, 0.0])
def test_marks_of_programs_are_holes(tmp_path: Path, mark: float) -> None:
    write(tmp_path, 3)
    for i in range(3):
        depth = scene(i)[1][::4, ::4].astype(np.float32)  # smaller than its image
        depth[:6] = mark
        (tmp_path / f"depth/{i}.png").unlink()
        np.save(tmp_path / f"depth/{i}.npy", depth)
    report = of(f"folder:{tmp_path}/rgb,depths={tmp_path}/depth")
    assert report.findings == [] and report.depth_sizes == {"24x32": 3} and report.sizes == {"96x128": 3}
    assert report.depth is not None and report.depth["holes"] == pytest.approx(6 / 24) and report.depth["min"] > 0


def test_a_logarithmic_map_read_as_if_it_were_not(tmp_path: Path) -> None:
    spec = write(tmp_path, 3)
    notes = PngInfo()
    notes.add_text("near", "0.5")
    notes.add_text("far", "20")
    path = tmp_path / "depth/1.png"
    Image.open(path).copy().save(path, pnginfo=notes)
    message = said(of(spec), "logarithmic")
    assert "1 of 3" in message and str(path) in message


def test_disparity_taken_for_depth(tmp_path: Path) -> None:
    message = said(of(write(tmp_path, 6, change=lambda x: 8 / x)), "disparity")
    assert "grows towards the bottom of 6 of 6" in message


def test_eight_bits(tmp_path: Path) -> None:
    message = said(of(write(tmp_path, 2, store=lambda x: (x / 40).astype(np.uint8))), "8-bit")
    assert "2 of 2" in message and f"{tmp_path}/depth/0.png" in message


def test_a_picture_of_depth(tmp_path: Path) -> None:
    report = of(write(tmp_path, 2, store=lambda x: np.stack([(x / 40).astype(np.uint8)] * 3, -1)))
    assert report.errors == 2 and "not a depth map" in report.findings[0].message


def test_pointers_empty_and_broken_files(tmp_path: Path) -> None:
    spec = write(tmp_path, 5)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + 64 * "0" + "\nsize 12\n"
    (tmp_path / "depth/0.png").write_text(pointer)
    (tmp_path / "depth/1.png").write_bytes(b"")
    whole = (tmp_path / "rgb/2.png").read_bytes()
    (tmp_path / "rgb/2.png").write_bytes(whole[: len(whole) // 2])
    report = of(spec)
    assert report.errors == 3 and report.read == 2
    for name, words in (("depth/0.png", "git lfs pull"), ("depth/1.png", "empty"), ("rgb/2.png", "truncated")):
        (found,) = [one for one in report.findings if one.path == f"{tmp_path}/{name}"]
        assert words in found.message and f"'{tmp_path}/{name}'" in found.message


def test_several_sizes_are_counted(tmp_path: Path) -> None:
    spec = write(tmp_path, 2)
    picture, depth = scene(7, 80, 120)
    Image.fromarray(picture).save(tmp_path / "rgb/2.png")
    Image.fromarray((depth * 1000).astype(np.uint16)).save(tmp_path / "depth/2.png")
    report = of(spec)
    assert report.sizes == {"96x128": 2, "80x120": 1} and report.errors == 0
    assert [one.level for one in report.findings] == ["info"]


def test_images_of_nyu_in_sun(tmp_path: Path) -> None:
    write(tmp_path / "SUNRGBD/kv1/NYUdata/NYU0001", 3)
    write(tmp_path / "SUNRGBD/kv2/kinect2data/000", 5, first=3)
    report = of(f"rgbd:{tmp_path}/SUNRGBD/kv1/NYUdata/NYU0001")
    assert report.nyu == {"images": 3, "share": 1.0}
    report = of(f"folder:{tmp_path},recursive=true")
    assert report.nyu is not None and report.nyu["images"] == 6  # depth maps are images here
    assert "3 of 3" not in said(report, "NYU Depth v2")
    assert of(f"rgbd:{tmp_path}/SUNRGBD/kv2/kinect2data/000").nyu is None


def test_cameras_that_cannot_be(tmp_path: Path) -> None:
    rows = []
    for i in range(2):
        picture, depth = scene(i, 150, 200)
        Image.fromarray(picture).save(tmp_path / f"rgb_{i}.png")
        Image.fromarray((depth * 1000).astype(np.uint16)).save(tmp_path / f"sync_depth_{i}.png")
        rows.append(f"rgb_{i}.png sync_depth_{i}.png {(160, 5000)[i]}\n")
    (tmp_path / "own_files_with_gt.txt").write_text("".join(rows))
    message = said(of(f"nyu:{tmp_path}"), "cameras")
    assert "1 of 2 images" in message and "rgb_1.png" in message and "5000" in message


def test_a_focal_length_that_the_calibration_contradicts(tmp_path: Path) -> None:
    day = "2011_09_26"
    drive = f"{day}/{day}_drive_0001_sync/image_02/data"
    (tmp_path / drive).mkdir(parents=True)
    picture, _ = scene(0, 375, 1242)
    Image.fromarray(picture).save(tmp_path / drive / "0000000005.png")
    (tmp_path / day / "calib_cam_to_cam.txt").write_text(
        "S_rect_02: 1242 375\nP_rect_02: 721.5377 0 609.5593 44.85 0 721.5377 172.854 0.2 0 0 1 0.003\n"
    )
    listed = tmp_path / "own_files_with_gt.txt"
    listed.write_text(f"{drive}/0000000005.png None 721.5377\n")
    assert of(f"kitti:{tmp_path}").findings == []
    listed.write_text(f"{drive}/0000000005.png None 707.0493\n")
    assert "707.049" in said(of(f"kitti:{tmp_path}"), "another focal length")


@pytest.mark.parametrize("order", [">", "<"])  # as the format says, and as careless programs write it
def test_graymaps_in_either_order_of_bytes(tmp_path: Path, order: str) -> None:
    spec = write(tmp_path, 3)
    for i in range(3):
        (tmp_path / f"depth/{i}.png").unlink()
        numbers = (scene(i)[1] * 1000).round().astype(f"{order}u2")
        (tmp_path / f"depth/{i}.pgm").write_bytes(b"P5\n128 96\n65535\n" + numbers.tobytes())
    report = of(spec)
    assert report.depth is not None and report.depth["min"] > 0.5 and report.depth["max"] < 7
    assert [one.level for one in report.findings] == ([] if order == ">" else ["info"])
    assert order == ">" or "bytes in the wrong order for PGM; they are put right" in report.findings[0].message


def test_lines_without_ground_truth(tmp_path: Path) -> None:
    write(tmp_path, 3)
    (tmp_path / "own_files_with_gt.txt").write_text("".join(
        f"rgb/{i}.png {f'depth/{i}.png' if i else None} 518.8579\n" for i in range(3)
    ))
    report = of(f"nyu:{tmp_path}")
    assert report.errors == 0 and report.n == 3
    (found,) = [one for one in report.findings if "no ground truth" in one.message]
    assert found.level == "info" and "1 of 3 images" in found.message and "rgb/0.png" in found.message
