from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from typer.testing import CliRunner

from kdcli import models
from kdcli.cli import predict as commands
from kdcli.errors import ConfigError, DataError
from kdcli.images import focal_of
from kdcli.predict import Points, at_edges, cloud_of, predict, write_cloud
from kdcli.types import DepthKind, Prediction

CAMERA = (50.0, 40.0, 11.0, 7.0)


class _Flat(nn.Module):
    """Two metres everywhere, and no opinion in the last column."""

    taps: ClassVar[dict[str, object]] = {}
    depth_range = (1.0, 9.0)

    def __init__(self, kind: DepthKind = DepthKind.METRIC) -> None:
        super().__init__()
        self.depth_kind = kind

    def forward(self, image: Tensor) -> Prediction:
        depth = torch.full_like(image[:, :1], 2.0)
        seen = torch.arange(depth.shape[-1]) < depth.shape[-1] - 1
        return Prediction(depth=depth, kind=self.depth_kind, valid=seen.expand_as(depth))


def _photo(path: Path, **exif: float) -> Path:
    image = Image.new("RGB", (24, 16), (200, 100, 50))
    tags = Image.Exif()
    if exif:
        tags.get_ifd(0x8769)[0xA405] = exif["film"]
    image.save(path, exif=tags)
    return path


def _read_ply(path: Path) -> tuple[list[str], NDArray[Any]]:
    """Read one of exactly the documented form: every byte has its place."""
    content = path.read_bytes()
    head, mark, body = content.partition(b"end_header\n")
    lines = head.decode("ascii").splitlines()
    assert mark and lines[:2] == ["ply", "format binary_little_endian 1.0"]
    properties = [line.split() for line in lines if line.startswith("property")]
    sizes = {"float": "<f4", "uchar": "u1"}
    points = np.frombuffer(body, [(name, sizes[kind]) for _, kind, name in properties])
    (count,) = (int(line.split()[2]) for line in lines if line.startswith("element vertex"))
    assert len(points) == count
    return lines, points


def _read_glb(path: Path) -> tuple[dict[str, Any], NDArray[np.float32], NDArray[np.uint16]]:
    """Read a GLB by the letter of the specification (glTF 2.0, 4.4 and 3.6)."""
    content = path.read_bytes()
    magic, version, whole = struct.unpack_from("<4sII", content)
    assert (magic, version, whole) == (b"glTF", 2, len(content)) and len(content) % 4 == 0
    length, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON" and length % 4 == 0
    document = json.loads(content[20 : 20 + length])
    size, kind = struct.unpack_from("<I4s", content, 20 + length)
    assert kind == b"BIN\0" and size % 4 == 0 and 28 + length + size == whole
    body = content[28 + length :]
    assert document["asset"]["version"] == "2.0" and document["buffers"] == [{"byteLength": size}]
    (primitive,) = document["meshes"][document["nodes"][document["scenes"][document["scene"]]["nodes"][0]]["mesh"]][
        "primitives"
    ]
    assert primitive["mode"] == 0
    found = []
    for name, component, form, dtype, parts in (
        ("POSITION", 5126, "VEC3", "<f4", 3), ("COLOR_0", 5123, "VEC4", "<u2", 4),
    ):
        accessor = document["accessors"][primitive["attributes"][name]]
        view = document["bufferViews"][accessor["bufferView"]]
        assert (accessor["componentType"], accessor["type"]) == (component, form) and view["target"] == 34962
        assert view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= size
        values = np.frombuffer(body, dtype, accessor["count"] * parts, view["byteOffset"])
        assert values.nbytes == view["byteLength"]
        found.append(values.reshape(-1, parts))
    places = found[0]
    limits = document["accessors"][primitive["attributes"]["POSITION"]]
    assert limits["min"] == places.min(0).tolist() and limits["max"] == places.max(0).tolist()
    assert document["accessors"][primitive["attributes"]["COLOR_0"]]["normalized"] is True
    return document, places, found[1]


def test_pixels_move_out_along_their_rays() -> None:
    torch.manual_seed(0)
    image, depth = torch.rand(3, 16, 24), 1 + torch.rand(16, 24)
    valid = torch.ones(16, 24, dtype=torch.bool)
    valid[3, 4], depth[5, 6], depth[7, 8] = False, math.nan, -1.0
    cloud = cloud_of(image, depth, valid, CAMERA, metres=True, edge=0)
    assert len(cloud.xyz) == 16 * 24 - 3 and cloud.holes == 3 and cloud.edges == 0
    fx, fy, cx, cy = CAMERA
    for xyz, rgb in zip(cloud.xyz, cloud.rgb, strict=True):
        x, y, z = xyz[0], -xyz[1], -xyz[2]  # right, down, forward
        column, row = fx * x / z + cx, fy * y / z + cy
        u, v = round(float(column)), round(float(row))
        assert abs(column - u) < 1e-3 and abs(row - v) < 1e-3
        assert z == depth[v, u] and np.abs(rgb / 255 - image[:, v, u].numpy()).max() <= 0.5 / 255 + 1e-6
    top, bottom = cloud.xyz[0], cloud.xyz[-1]
    assert top[1] > 0 > bottom[1] and (cloud.xyz[:, 2] < 0).all()  # y up, looking along -z


def test_what_flies_between_surfaces_is_dropped_and_slanted_surfaces_stay() -> None:
    """A wall 2 m away before one of 4 m, both at a slant, as a small network's output is enlarged."""
    slant = torch.linspace(1, 1.3, 32).expand(24, 32)
    exact = torch.where(torch.arange(32) < 16, 2.0, 4.0) * slant
    enlarged = functional.interpolate(exact[None, None], scale_factor=4, mode="bilinear", align_corners=False)[0, 0]
    share = (enlarged / functional.interpolate(slant[None, None], scale_factor=4, mode="bilinear")[0, 0]).round(
        decimals=2
    )
    flying = (share > 2.1) & (share < 3.9)
    known = torch.ones_like(flying)
    found = at_edges(enlarged, known, 4 * 60.0)
    assert flying.any() and (found & flying).sum() == flying.sum()
    assert float(found[~flying].float().mean()) < 0.05
    assert not at_edges(4 * slant, torch.ones(24, 32, dtype=torch.bool), 60.0).any()
    known[:, 40:] = False  # a hole is no edge of what lies beside it
    assert not at_edges(enlarged, known, 4 * 60.0).any()


def test_files_hold_the_points(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cloud = cloud_of(
        torch.rand(3, 5, 7), 1 + torch.rand(5, 7), torch.ones(5, 7, dtype=torch.bool), CAMERA, metres=True, edge=0
    )
    write_cloud(tmp_path / "a.ply", cloud)
    lines, points = _read_ply(tmp_path / "a.ply")
    assert points.dtype.names == ("x", "y", "z", "red", "green", "blue")
    assert np.array_equal(np.stack([points[n] for n in "xyz"], 1), cloud.xyz) and "unit: metre" in "\n".join(lines)
    assert np.array_equal(np.stack([points[n] for n in ("red", "green", "blue")], 1), cloud.rgb)
    write_cloud(tmp_path / "a.GLB", cloud)
    document, places, colours = _read_glb(tmp_path / "a.GLB")
    assert np.array_equal(places, cloud.xyz) and document["asset"]["extras"] == {"unit": "metre"}
    light = colours[:, :3] / 65535
    back = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    assert np.abs(back * 255 - cloud.rgb).max() < 0.05 and (colours[:, 3] == 65535).all()
    with pytest.raises(ConfigError, match="does not end like a point cloud"):
        write_cloud(tmp_path / "a.obj", cloud)
    assert {path.name for path in tmp_path.iterdir()} == {"a.ply", "a.GLB"}


def test_the_lens_comes_from_what_was_given_or_from_the_photograph(tmp_path: Path) -> None:
    plain, tagged = _photo(tmp_path / "a.jpg"), _photo(tmp_path / "b.jpg", film=28)
    wanted = 28 / math.hypot(36, 24) * math.hypot(24, 16)
    assert focal_of(plain) is None and focal_of(tagged) == pytest.approx(wanted)
    (one,), _ = predict(_Flat(), [tagged], tmp_path / "out", points=Points(path=str(tmp_path / "b.ply")))
    assert one.points is not None and one.points["camera_from"] == "EXIF" and one.points["holes"] == 16
    assert one.points["camera"] == pytest.approx([wanted, wanted, 11.5, 7.5]) and one.points["count"] == 23 * 16
    said = json.loads((tmp_path / "out/b.json").read_text())["points"]
    assert said["file"].endswith("b.ply") and said["count"] == len(_read_ply(tmp_path / "b.ply")[1])
    (one,), _ = predict(_Flat(), [plain], tmp_path / "out", points=Points(path=str(tmp_path / "c.glb"), fov=90))
    assert one.points is not None and one.points["camera"] == pytest.approx([12, 12, 11.5, 7.5])
    places = _read_glb(tmp_path / "c.glb")[1]
    assert places[:, 0].min() == pytest.approx(-2 * 11.5 / 12)  # half of 90 degrees at 2 m, half a pixel in
    with pytest.raises(DataError, match="through which lens"):
        predict(_Flat(), [plain], tmp_path / "none", points=Points(path=str(tmp_path / "d.ply")))
    assert not (tmp_path / "d.ply").exists() and not (tmp_path / "none").exists()
    assert "points" not in json.loads(_predicted(tmp_path, plain).read_text())


def _predicted(tmp_path: Path, photo: Path) -> Path:
    predict(_Flat(), [photo], tmp_path / "plain")
    return tmp_path / "plain" / f"{photo.stem}.json"


def test_depth_without_an_origin_is_refused_and_without_a_unit_is_said(tmp_path: Path) -> None:
    photo, points = _photo(tmp_path / "a.jpg"), Points(path=str(tmp_path / "a.ply"), fov=60)
    for kind in (DepthKind.AFFINE_DEPTH, DepthKind.AFFINE_DISPARITY):
        with pytest.raises(ConfigError, match=f"{kind}, which has an unknown offset"):
            predict(_Flat(kind), [photo], tmp_path / "out", points=points)
    assert not (tmp_path / "a.ply").exists()
    predict(_Flat(DepthKind.SCALE_INVARIANT), [photo], tmp_path / "out", points=points)
    assert "unit: unknown" in "\n".join(_read_ply(tmp_path / "a.ply")[0])


def test_several_pictures_need_several_files(tmp_path: Path) -> None:
    photos = [_photo(tmp_path / "a.jpg"), _photo(tmp_path / "b.jpg")]
    with pytest.raises(ConfigError, match=r"one file, .*/\{name\}\.ply"):
        predict(_Flat(), photos, tmp_path / "out", points=Points(path=str(tmp_path / "x.ply"), fov=60))
    predict(_Flat(), photos, tmp_path / "out", points=Points(path=str(tmp_path / "clouds/{name}.ply"), fov=60))
    assert {path.name for path in (tmp_path / "clouds").iterdir()} == {"a.ply", "b.ply"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--points", "a.obj"], "neither in .ply nor in .glb"),
        (["--fov", "60"], "--fov is of a point cloud"),
        (["--points", "a.ply", "--fov", "180"], "between 0 and 180"),
        (["--points", "a.ply", "--fov", "60", "--intrinsics", "1,1,1,1"], "give one"),
        (["--points", "a.ply", "--intrinsics", "1,2,3"], "are not fx,fy,cx,cy"),
        (["--points", "a.ply", "--intrinsics", "0,1,1,1"], "fx and fy above 0"),
        (["--points", "a.ply", "--fov", "60", "--edge", "90"], "--edge 90 is no angle"),
    ],
)
def test_wrong_options_are_refused_before_the_model_is_loaded(
    given: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load_model", lambda *_: pytest.fail("the model was loaded"))
    told = _command(["m", str(_photo(tmp_path / "a.jpg")), "--out", str(tmp_path / "out"), *given])
    assert isinstance(told.exception, ConfigError) and said in str(told.exception)


def test_command_tells_what_is_in_the_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_model", lambda text, device: _Flat(DepthKind.SCALE_INVARIANT))
    cloud = str(tmp_path / "a.glb")
    given = ["m", str(_photo(tmp_path / "a.jpg")), "--out", str(tmp_path / "out"), "--device", "cpu"]
    told = _command([*given, "--points", cloud, "--intrinsics", "20,20,11.5,7.5"])
    assert told.exit_code == 0, told.exception
    assert "368 points, lens from --intrinsics, left out: 0 at edges, 16 without depth" in told.stderr
    assert "not in metres" in told.stderr and len(_read_glb(tmp_path / "a.glb")[1]) == 368


def _command(given: list[str]) -> Any:
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, given)
