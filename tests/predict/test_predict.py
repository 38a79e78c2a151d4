from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from kdcli import models
from kdcli.cli import predict as commands
from kdcli.errors import ConfigError, DataError
from kdcli.networks.shown_size import Asked
from kdcli.predict import predict, read_some
from kdcli.predict import videos as reading
from kdcli.types import DepthKind, MadeFor, Prediction


class _Brightness(nn.Module):
    """Depth = low + (high - low) * mean brightness, at half size."""

    taps: ClassVar[dict[str, object]] = {}

    def __init__(self, kind: DepthKind = DepthKind.METRIC, low: float = 1.0, high: float = 9.0) -> None:
        super().__init__()
        self.depth_kind, self.depth_range, self.low = kind, (min(low, high), max(low, high)), low
        self.span = high - low
        self.seen: list[tuple[int, ...]] = []

    def forward(self, image: Tensor) -> Prediction:
        self.seen.append(tuple(image.shape))
        depth = self.low + self.span * nn.functional.avg_pool2d(image, 2).mean(1, keepdim=True)
        return Prediction(depth=depth, kind=self.depth_kind, valid=depth < 0.999 * (self.low + self.span))


def _picture(path: Path, height: int = 40, width: int = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.tile(np.linspace(0, 250, width), (height, 1)).astype(np.uint8)
    ramp[:10, :10] = 255  # the model gives no value there
    Image.fromarray(np.stack([ramp] * 3, -1)).save(path)
    return path


def _stored(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode in ("I;16", "I")
        return np.asarray(image).astype(np.float64)


def test_metric_depth_is_millimetres_at_the_size_of_the_picture(tmp_path: Path) -> None:
    model = _Brightness()
    done, skipped = predict(model, [_picture(tmp_path / "a.b.png")], tmp_path / "out", format="both")
    assert skipped == [] and len(done) == 1 and model.seen == [(1, 3, 40, 60)]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "a.b.depth.png", "a.b.depth.npy", "a.b.colour.png", "a.b.json",
    }
    stored, exact = _stored(tmp_path / "out/a.b.depth.png"), np.load(tmp_path / "out/a.b.depth.npy")
    assert stored.shape == exact.shape == (40, 60)
    assert stored[2, 2] == 0 and np.isnan(exact[2, 2])
    known = np.isfinite(exact)
    assert np.abs(stored[known] / 1000 - exact[known]).max() <= 5.1e-4
    assert 8.5 < exact[30, -1] < 9.0 and 1.0 <= exact[30, 0] < 1.5
    said = json.loads((tmp_path / "out/a.b.json").read_text())
    assert said["depth_kind"] == "metric" and said["unit"] == "m" and said["step"] == 0.001 and said["offset"] == 0
    assert said["png"] == "a.b.depth.png" and said["size"] == [40, 60] and said["colour_map"] == "spectral"
    with Image.open(tmp_path / "out/a.b.colour.png") as picture:
        assert picture.size == (60, 40 + 34)
        red, _, blue = picture.getpixel((1, 30))
        assert red > blue  # dark is near here, near is red


@pytest.mark.parametrize("kind", [DepthKind.AFFINE_DISPARITY, DepthKind.AFFINE_DEPTH, DepthKind.SCALE_INVARIANT])
def test_depth_without_a_unit_is_spread_and_can_be_restored(tmp_path: Path, kind: DepthKind) -> None:
    low = 0.5 if kind is DepthKind.SCALE_INVARIANT else -3.0
    (one,), _ = predict(_Brightness(kind, low, 2.0), [_picture(tmp_path / "a.png")], tmp_path / "out", format="both")
    assert one.png and one.npy and one.step and one.offset is not None and one.unit == ""
    stored, exact = _stored(one.png), np.load(one.npy)
    known = np.isfinite(exact)
    assert np.array_equal(stored > 0, known) and stored.max() > 65000
    assert np.abs(stored * one.step + one.offset - exact)[known].max() < 1e-4
    assert one.colour is not None
    with Image.open(one.colour) as picture:
        left, right = picture.getpixel((1, 30)), picture.getpixel((58, 30))
    nearer_left = kind is not DepthKind.AFFINE_DISPARITY
    assert (left[0] > left[2]) == nearer_left and (right[0] > right[2]) != nearer_left


def test_far_ranges_get_a_coarser_step(tmp_path: Path) -> None:
    (one,), _ = predict(_Brightness(high=80.0), [_picture(tmp_path / "a.png")], tmp_path / "out", cmap=None)
    assert one.step == 1 / 256 and one.colour is None and one.png is not None
    assert abs(_stored(one.png).max() / 256 - one.maximum) < 0.01 and one.maximum > 70


def test_size_is_what_the_model_sees(tmp_path: Path) -> None:
    model = _Brightness()
    (one,), _ = predict(model, [_picture(tmp_path / "a.png")], tmp_path / "out", size=(32, 48), limits=(1.0, 5.0))
    assert model.seen == [(1, 3, 32, 48)] and one.size == (40, 60) and one.limits == (1.0, 5.0)
    assert one.seen == (32, 48)


@pytest.mark.parametrize(
    ("size", "seen"), [("own", (16, 24)), ("native", (40, 60)), (None, (40, 60)), ((8, 8), (8, 8))]
)
def test_a_model_sees_the_size_that_it_was_made_for(tmp_path: Path, size: Asked | None, seen: tuple[int, int]) -> None:
    model = _Brightness()
    model.made_for = MadeFor(train_size=(16, 24), eval_size=(16, 24))  # type: ignore[assignment]
    given = {} if size == "own" else {"size": size}  # it is the default
    (one,), _ = predict(model, [_picture(tmp_path / "a.png")], tmp_path / "out", **given)  # type: ignore[arg-type]
    assert model.seen == [(1, 3, *seen)] and one.seen == seen and one.size == (40, 60)
    assert json.loads((tmp_path / "out/a.json").read_text())["seen"] == list(seen)
    assert one.png is not None and _stored(one.png).shape == (40, 60)


def test_folders_keep_their_tree_and_names_do_not_clash(tmp_path: Path) -> None:
    for name in ("in/x/1.png", "in/x/1.jpg", "in/2.png", "other/2.png"):
        _picture(tmp_path / name)
    (tmp_path / "in/readme.txt").write_text("no image")
    done, _ = predict(_Brightness(), [tmp_path / "in", tmp_path / "other"], tmp_path / "out", cmap=None)
    names = [one.name for one in done]
    assert len(set(names)) == 4 and {"2", "x/1"} <= set(names)
    assert all(one.png is not None and one.png.is_file() for one in done)


@pytest.mark.parametrize("where", ["in", "in/depth", "in/sub"])
def test_again_into_the_same_folder_takes_the_photographs_alone(tmp_path: Path, where: str) -> None:
    for name in ("in/a.png", "in/sub/b.c.jpg"):
        _picture(tmp_path / name)
    (tmp_path / "in/._a.png").write_bytes(b"Mac OS X")
    _picture(tmp_path / "in/.ipynb_checkpoints/a-checkpoint.png")
    for _ in range(2):
        done, skipped = predict(_Brightness(), [tmp_path / "in"], tmp_path / where, format="both")
        assert sorted(one.name for one in done) == ["a", "sub/b.c"] and not skipped
    assert read_some(tmp_path / "in", 9).shape[0] == 2


def test_nothing_but_own_outputs_is_said(tmp_path: Path) -> None:
    predict(_Brightness(), [_picture(tmp_path / "a.png")], tmp_path / "out")
    with pytest.raises(DataError, match=r"no images but what kdcli itself wrote, such as '.*out/a\."):
        predict(_Brightness(), [tmp_path / "out"], tmp_path / "again")


def test_what_cannot_be_read_is_named_and_the_rest_is_done(tmp_path: Path) -> None:
    good = _picture(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(good.read_bytes()[:60])
    (tmp_path / "in/c.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    done, skipped = predict(_Brightness(), [tmp_path / "in"], tmp_path / "out")
    assert [one.name for one in done] == ["a"] and [one.input.name for one in skipped] == ["b.png", "c.png"]
    assert "git lfs pull" in skipped[1].reason
    assert {p.name.split(".")[0] for p in (tmp_path / "out").iterdir()} == {"a"}


def test_nothing_is_written_when_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/c.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match="git lfs pull"):
        predict(_Brightness(), [tmp_path / "in"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for path, piece in ((tmp_path / "no.png", "does not exist"), (tmp_path / "empty", "no images")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(DataError, match=piece):
            predict(_Brightness(), [path], tmp_path / "out")
    with pytest.raises(ConfigError, match="Did you mean 'magma'"):
        predict(_Brightness(), [_picture(tmp_path / "a.png")], tmp_path / "out", cmap="magna")


def test_a_video_without_pyav_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v.mp4").write_bytes(b"x")
    monkeypatch.setattr(reading.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"kdcli\[video\].*pip install av"):
        predict(_Brightness(), [tmp_path / "v.mp4"], tmp_path / "out")


def test_a_video_becomes_frames_with_one_range_of_colours(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is optional")
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in (0, 60, 120):
            ramp = np.tile(np.linspace(level, level + 100, 64), (48, 1)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([ramp] * 3, -1), format="rgb24")))
        container.mux(stream.encode())
    done, _ = predict(_Brightness(), [tmp_path / "v.mp4"], tmp_path / "out")
    assert [one.name for one in done] == ["v/000000", "v/000001", "v/000002"]
    assert len({one.limits for one in done}) == 1 and done[0].maximum < done[2].maximum
    (tmp_path / "junk.mp4").write_bytes(b"junk" * 100)
    with pytest.raises(DataError, match="no video"):
        predict(_Brightness(), [tmp_path / "junk.mp4"], tmp_path / "out")


def test_read_some(tmp_path: Path) -> None:
    for i in range(5):
        _picture(tmp_path / f"in/{i}.png", 40 + 8 * (i > 0))
    assert read_some(tmp_path / "in", 3).shape == (3, 3, 40, 60)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_model", lambda text, device: _Brightness())
    app = typer.Typer()
    commands.register(app)
    image = _picture(tmp_path / "in/a.png")
    out = ["--out", str(tmp_path / "out")]
    told = CliRunner().invoke(app, ["m", str(image), *out, "--json", "--device", "cpu", "--cmap", "none"])
    document = json.loads(told.stdout)
    assert document["predicted"][0]["unit"] == "m" and document["skipped"] == []
    (tmp_path / "in/b.png").write_bytes(b"\x89PNG")
    told = CliRunner().invoke(app, ["m", str(tmp_path / "in"), *out, "--json", "--device", "cpu"])
    assert isinstance(told.exception, DataError) and "1 of 2 inputs" in str(told.exception)
    assert len(json.loads(told.stdout)["skipped"]) == 1
    told = CliRunner().invoke(app, ["m", str(image), *out, "--limits", "3", "--device", "cpu"])
    assert isinstance(told.exception, ConfigError)


def test_real_photographs(shared: Path, tmp_path: Path) -> None:
    done, skipped = predict(_Brightness(), [shared / "data/kitti_unlabelled_rgb/0000000001.png"], tmp_path)
    assert len(done) == 1 and not skipped and done[0].size == (375, 1242)


class _Sure(_Brightness):
    """Beside depth, a deviation of 0 to 2 m from left to right, and no entropy."""

    def forward(self, image: Tensor) -> Prediction:
        said = super().forward(image)
        return replace(said, std=torch.linspace(0, 2, said.depth.shape[-1]).expand_as(said.depth))


def test_uncertainty_is_written_beside_depth_and_can_be_restored(tmp_path: Path) -> None:
    (one,), _ = predict(_Sure(), [_picture(tmp_path / "a.png")], tmp_path / "out", format="both", uncertainty=True)
    names = {p.name for p in (tmp_path / "out").iterdir()}
    raw = {"a.depth.png", "a.depth.npy", "a.std.png", "a.std.npy"}
    assert names == {*raw, "a.colour.png", "a.std.colour.png", "a.json"}
    assert one.uncertainty is not None
    std = one.uncertainty["std"]
    assert std.png and std.npy and std.step == 0.001 and std.unit == "m"
    stored, exact = _stored(std.png), np.load(std.npy)
    assert stored[2, 2] == 0 and np.isnan(exact[2, 2])
    known = np.isfinite(exact)
    assert exact[known].min() == 0 and stored[known].min() == 1  # certain is a value, not a hole
    assert np.abs(stored[known] * std.step + std.offset - exact[known]).max() <= 5.1e-4
    said = json.loads((tmp_path / "out/a.json").read_text())["uncertainty"]["std"]
    assert said["png"] == "a.std.png" and "standard deviation" in said["meaning"] and said["limits"][0] == 0


def test_uncertainty_of_a_model_that_does_not_tell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no distribution over depth; models with bins have one"):
        predict(_Brightness(), [_picture(tmp_path / "a.png")], tmp_path / "out", uncertainty=True)
    assert not (tmp_path / "out").exists()
    predict(_Sure(), [tmp_path / "a.png"], tmp_path / "out")
    assert "uncertainty" not in json.loads((tmp_path / "out/a.json").read_text())
