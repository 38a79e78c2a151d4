from __future__ import annotations

import json
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor, nn
from typer.testing import CliRunner

from kdcli import models
from kdcli.cli import predict as commands
from kdcli.errors import ConfigError, DataError
from kdcli.predict import predict, videos
from kdcli.predict.film import film
from kdcli.predict.film_file import FilmFile
from kdcli.types import DepthKind, Prediction

av = pytest.importorskip("av", reason="PyAV is an extra: pip install 'kdcli[video]'")

RATE, STEP = Fraction(30000, 1001), Fraction(1, 30000)


class _Brightness(nn.Module):
    """Depth = 1 + 8 * brightness: dark is near. Ctrl-C comes when it is asked for picture ``until``."""

    taps: ClassVar[dict[str, object]] = {}
    depth_range = (1.0, 9.0)

    def __init__(self, kind: DepthKind = DepthKind.METRIC, until: int | None = None) -> None:
        super().__init__()
        self.depth_kind, self.until, self.asked = kind, until, 0

    def forward(self, image: Tensor) -> Prediction:
        if self.asked == self.until:
            raise KeyboardInterrupt
        self.asked += 1
        return Prediction(depth=1 + 8 * image.mean(1, keepdim=True), kind=self.depth_kind)


def _clip(
    path: Path, levels: Sequence[int], *, times: Sequence[int] | None = None, rotation: int = 0, width: int = 64,
    height: int = 48,
) -> Path:
    """Write a film whose pictures are brighter on the right by 100 levels, from a level of their own."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE, options={"qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        stream.codec_context.time_base = STEP
        for i, level in enumerate(levels):
            ramp = np.tile(np.linspace(level, level + 100, width), (height, 1)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.stack([ramp] * 3, -1), format="rgb24")
            frame.pts, frame.time_base = times[i] if times else i * 1001, STEP
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _frames(path: Path) -> tuple[list[NDArray[np.uint8]], list[Fraction], Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = list(container.decode(video=0))
        times = [frame.pts * stream.time_base for frame in found]
        return [frame.to_ndarray(format="rgb24") for frame in found], times, stream.average_rate


def test_rate_times_and_size_are_those_of_the_source(tmp_path: Path) -> None:
    times = [0, 1001, 2002, 5005, 6006]  # the fourth picture is late
    source = _clip(tmp_path / "v.mp4", [0, 30, 60, 90, 120], times=times)
    done = film({"m": _Brightness()}, source, tmp_path / "d.mp4", cmap="gray")
    pictures, shown, rate = _frames(tmp_path / "d.mp4")
    assert shown == [time * STEP for time in times] and done.frames == len(pictures) == 5
    assert rate == _frames(source)[2] and done.rate == pytest.approx(float(rate))
    assert pictures[0].shape == (48, 64, 3) and done.size == (48, 64) and not done.interrupted
    assert done.fps and done.models["m"].fps and done.models["m"].fps > done.fps
    assert done.models["m"].seen == (48, 64) and done.models["m"].unit == "m"
    assert {path.name for path in tmp_path.iterdir()} == {"v.mp4", "d.mp4"}


@pytest.mark.parametrize("ending", [".mkv", ".webm"])
def test_other_containers_and_odd_sizes(ending: str, tmp_path: Path) -> None:
    source = _clip(tmp_path / "v.mp4", [0, 60, 120])
    done = film({"m": _Brightness()}, source, tmp_path / f"d{ending}", beside=True)
    pictures, shown, _ = _frames(tmp_path / f"d{ending}")
    assert len(pictures) == done.frames == 3 and all(side % 2 == 0 for side in pictures[0].shape[:2])
    assert max(abs(a - b * 1001 * STEP) for b, a in enumerate(shown)) < Fraction(1, 900)  # Matroska has milliseconds
    assert pictures[0].shape[:2] == (24 + 144 + 34, 192 + 8 + 192)  # such small panels are enlarged


def test_a_film_that_is_turned_is_written_upright(tmp_path: Path) -> None:
    source = _clip(tmp_path / "v.mp4", [0, 0], rotation=-90)  # a quarter clockwise: the bright right becomes the bottom
    done = film({"m": _Brightness()}, source, tmp_path / "d.mp4", cmap="gray")
    (picture, *_), _, _ = _frames(tmp_path / "d.mp4")
    assert picture.shape == (64, 48, 3) and done.size == (64, 48)
    assert picture[2].mean() > picture[-3].mean() + 100  # near is bright in grey
    (one, *_), _ = predict(_Brightness(), [source], tmp_path / "out", cmap=None)  # and so are its maps
    assert one.size == (64, 48)


def test_one_range_is_held_over_the_clip_or_follows_slowly(tmp_path: Path) -> None:
    source = _clip(tmp_path / "v.mp4", [0] * 4 + [140] * 4)
    whole = film({"m": _Brightness()}, source, tmp_path / "a.mp4", cmap="gray").models["m"].limits
    assert whole and whole[0] == pytest.approx(1.1, abs=0.1) and whole[1] == pytest.approx(8.4, abs=0.2)
    before, after = (one.astype(int).mean() for one in (_frames(tmp_path / "a.mp4")[0][i] for i in (0, 7)))
    assert before - after > 80  # what moves away gets another colour
    runs = film({"m": _Brightness()}, source, tmp_path / "b.mp4", hold="running").models["m"].limits
    own = film({"m": _Brightness()}, source, tmp_path / "c.mp4", hold="running", most=4).models["m"].limits
    assert runs and own and own[0] < runs[0] < own[0] + 1.5 and own[1] < runs[1] < whole[1]
    model = _Brightness()
    given = film({"m": model}, source, tmp_path / "d.mp4", limits=(2.0, 5.0))
    assert given.models["m"].limits == (2.0, 5.0) and model.asked == 8  # seen once


def test_models_stand_side_by_side_and_share_metres(tmp_path: Path) -> None:
    source = _clip(tmp_path / "v.mp4", [0, 60], width=256, height=96)
    models = {"teacher:t": _Brightness(), "runs/s": _Brightness(), "other": _Brightness(DepthKind.AFFINE_DISPARITY)}
    done = film(models, source, tmp_path / "d.mp4")
    assert list(done.models) == list(models)
    assert done.models["teacher:t"].limits == done.models["runs/s"].limits
    assert done.models["other"].unit == ""
    picture = _frames(tmp_path / "d.mp4")[0][0].astype(int)
    rows = 24 + 96 + 34
    assert picture.shape == (4 * rows + 3 * 8, 256, 3)  # twice as wide as high: below one another
    tops = [picture[i * (rows + 8) :][:rows] for i in range(4)]
    assert all(np.ptp(top[:24]) > 150 for top in tops)  # a name
    assert np.ptp(tops[0][-30:]) < 40 and all(np.ptp(top[-30:]) > 150 for top in tops[1:])  # legends of models alone
    assert np.abs(tops[1][24:120] - tops[2][24:120]).mean() < 3 < np.abs(tops[1][24:120] - tops[3][24:120]).mean()


@pytest.mark.parametrize("until", [3, 0])
def test_what_was_written_when_ctrl_c_came_is_a_film_or_is_gone(
    until: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = _clip(tmp_path / "v.mp4", [0] * 6), tmp_path / "d.mp4"
    monkeypatch.setattr(models, "load_model", lambda spec, device: _Brightness(until=until))
    told = _command(["m", str(source), "--out", str(out), "--limits", "1,9", "--json"])
    assert told.exit_code == 130
    if until:
        assert len(_frames(out)[0]) == 3 and json.loads(told.stdout)["interrupted"] is True
        assert "ends at frame 3 of 6; it is whole and plays" in told.stderr
    else:
        assert "nothing was written; the same command begins anew\n" in told.stderr and not told.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"v.mp4"} | ({"d.mp4"} if until else set())


def test_a_source_that_ends_early_keeps_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, upright = _clip(tmp_path / "v.mp4", [0] * 6), videos._upright

    def broken(frame: Any) -> Tensor:
        if frame.pts >= 4 * 1001:
            raise ValueError("damaged")
        return upright(frame)

    monkeypatch.setattr(videos, "_upright", broken)
    monkeypatch.setattr(models, "load_model", lambda spec, device: _Brightness())
    told = _command(["m", str(source), "--out", str(tmp_path / "d.mp4")])
    assert isinstance(told.exception, DataError) and "ends at frame 4" in str(told.exception)
    assert len(_frames(tmp_path / "d.mp4")[0]) == 4


def test_pictures_that_change_their_size_end_the_film(tmp_path: Path) -> None:
    file = FilmFile(tmp_path / "a.mp4", RATE, STEP)
    file.add(torch.zeros(3, 48, 64), 0, 1001)
    with pytest.raises(DataError, match="change their size after 1 of them"):
        file.add(torch.zeros(3, 48, 66), 1001, 1001)
    file.close()
    file.close()
    assert len(_frames(tmp_path / "a.mp4")[0]) == 1


def test_a_picture_without_numbers_is_grey_and_told(tmp_path: Path) -> None:
    class Blind(_Brightness):
        def forward(self, image: Tensor) -> Prediction:
            said = super().forward(image)
            return Prediction(depth=torch.full_like(said.depth, torch.nan), kind=said.kind)

    done = film({"m": Blind()}, _clip(tmp_path / "v.mp4", [0, 0]), tmp_path / "d.mp4", hold="running")
    assert done.without == 2 and np.abs(_frames(tmp_path / "d.mp4")[0][0].astype(int) - 128).max() < 4


def test_somebody_elses_film_stays(tmp_path: Path) -> None:
    source, other = _clip(tmp_path / "v.mp4", [0]), _clip(tmp_path / "o.mp4", [9])
    before = other.read_bytes()
    with pytest.raises(DataError, match="was not made by kdcli"):
        film({"m": _Brightness()}, source, other)
    with pytest.raises(ConfigError, match="is the film itself"):
        film({"m": _Brightness()}, source, source)
    assert other.read_bytes() == before
    for _ in range(2):  # its own it writes again
        film({"m": _Brightness()}, source, tmp_path / "d.mkv")


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (["{v}", "--out", "d.mp4", "--points", "a.ply"], ConfigError, "--points is of pictures"),
        (["{v}", "--out", "d.mp4", "--edge", "0"], ConfigError, "--edge is of pictures"),
        (["{v}", "--out", "d.mp4", "--format", "npy"], ConfigError, "--format is of pictures"),
        (["{v}", "--out", "d", "--side-by-side"], ConfigError, "--side-by-side is of a film"),
        (["{v}", "--out", "d", "--beside", "x"], ConfigError, "--beside is of a film"),
        (["{v}", "--out", "d", "--hold", "clip"], ConfigError, "--hold is of a film"),
        (["{v}", "{v}", "--out", "d.mp4"], ConfigError, "2 inputs were given"),
        (["a.png", "--out", "d.mp4"], ConfigError, "'a.png' is none"),
        (["none.mp4", "--out", "d.mp4"], DataError, "does not exist"),
        (["{v}", "--out", "d.mp4", "--beside", "m"], ConfigError, "named twice"),
        (["{v}", "--out", "d.mp4", "--cmap", "none"], ConfigError, "no map for a film"),
        (["{v}", "--out", "d.mp4", "--limits", "5,1"], ConfigError, "no range"),
        (["{v}", "--out", "d.mp4", "--focal", "500"], ConfigError, "leave out --focal 500"),
        (["camera:0", "--out", "d"], ConfigError, "becomes a film alone"),
        (["camera:0", "--out", "d.mp4", "--hold", "clip"], ConfigError, "cannot be seen twice"),
    ],
)
def test_what_cannot_work_is_one_line(
    given: list[str], error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "load_model", lambda spec, device: _Brightness())
    source = _clip(tmp_path / "v.mp4", [0, 0])
    told = _command(["m", *(str(source) if one == "{v}" else one for one in given)])
    assert isinstance(told.exception, error) and said in str(told.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]


@pytest.mark.skipif(not os.path.isdir("/dev") or os.path.exists("/dev/video99"), reason="has that many cameras")  # noqa: PTH110, PTH112
def test_a_camera_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'camera:99' cannot be opened \(No such file"):
        film({"m": _Brightness()}, Path("camera:99"), tmp_path / "d.mp4")
    assert not list(tmp_path.iterdir())


def _command(given: list[str]) -> Any:
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, [*given, "--device", "cpu"])
