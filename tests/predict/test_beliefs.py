from __future__ import annotations

import json
import math
from pathlib import Path
from typing import ClassVar

import pytest
import torch
import typer
from torch import Tensor, nn
from typer.testing import CliRunner

from kdcli import models
from kdcli.cli import explain as command
from kdcli.errors import ConfigError, DataError
from kdcli.images import write_depth_png, write_image
from kdcli.networks.read_out import own_map, resize_map
from kdcli.plugins.registry import build
from kdcli.predict.beliefs import examine
from kdcli.predict.depth_maps import depth_map, divergence, even_in_log, spread_for
from kdcli.predict.pixels import choose
from kdcli.predict.readings import read
from kdcli.report import beliefs
from kdcli.students.files import save_student
from kdcli.types import DepthKind, MadeFor, Prediction, ReadOut

UNIFORM = torch.linspace(1e-3, 80, 258)
KITTI = (UNIFORM[1:] + UNIFORM[:-1]) / 2
LOG = torch.logspace(-1, 1, 64)


class Bins(nn.Module):
    """Its distribution is a Gaussian about 2 + 6 x brightness that widens to the right; half the picture's size."""

    depth_kind = DepthKind.METRIC
    depth_range = (0.1, 10.0)
    taps: ClassVar[dict[str, object]] = {}

    def __init__(self, how: str = "bilinear") -> None:
        super().__init__()
        self.read_out = ReadOut(resize=how)  # type: ignore[arg-type]
        self.card = {"teachers": [{"spec": "demo", "depth_kind": "metric"}]}

    def forward(self, image: Tensor) -> Prediction:
        small = nn.functional.avg_pool2d(image, 2).mean(1, keepdim=True)
        wide = torch.linspace(0.3, 2, small.shape[-1])
        centers = torch.linspace(0.1, 10, 50)
        probs = torch.softmax(-0.5 * ((centers.view(1, -1, 1, 1) - 2 - 6 * small) / wide).square(), 1)
        depth = (probs * centers.view(1, -1, 1, 1)).sum(1, keepdim=True)
        return Prediction(depth=depth, kind=self.depth_kind, probs=probs, centers=centers)


class Direct(Bins):
    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=2 + 6 * image.mean(1, keepdim=True), kind=self.depth_kind)


def picture(height: int = 40, width: int = 60) -> Tensor:
    ramp = torch.linspace(0, 1, width).expand(3, height, width).clone()
    ramp[:, height // 2 :, : width // 2] = 0.9
    return ramp


@pytest.mark.parametrize("how", ["bilinear", "bilinear-corners", "nearest"])
def test_a_pixel_s_distribution_has_the_mean_of_the_resized_map(how: str) -> None:
    model = Bins(how)
    found = examine(model, picture(), pixels=[(0, 0), (31, 17), (59, 39)])
    said = model(picture()[None])
    depth = resize_map(own_map(said, model.read_out), (40, 60), how)
    for one in found.pixels:
        mean = float((one.probs * found.centers).sum())
        assert mean == pytest.approx(one.depth, abs=1e-4)
        assert one.depth == pytest.approx(float(depth[0, 0, one.pixel.y, one.pixel.x]), abs=1e-5)
        low, high = one.interval
        assert low < one.depth < high


def test_numbers_of_a_pixel_are_those_of_its_distribution() -> None:
    found = examine(Bins(), picture(), pixels=[(50, 5)], teacher=Direct(), truth=torch.full((40, 60), 7.0))
    (told,) = found.document()["pixels"]
    probs = found.pixels[0].probs
    assert told["entropy"] == pytest.approx(float(torch.special.entr(probs).sum()), rel=1e-5)
    assert told["entropy_share"] == pytest.approx(told["entropy"] / math.log(50))
    spread = (probs * (found.centers - told["depth"]).square()).sum().sqrt()
    assert told["std"] == pytest.approx(float(spread), rel=1e-3)
    best = told["top_bins"]
    assert [b["probability"] for b in best] == sorted((float(p) for p in probs), reverse=True)[:3]
    assert told["mode"] == pytest.approx(best[0]["depth"])
    assert told["teacher"] == pytest.approx(2 + 6 * 50 / 59, abs=1e-4) and told["truth"] == 7
    assert told["divergence"] > 0 and found.sigma == pytest.approx(9.9 / 49)


def test_chosen_pixels_are_apart_and_what_they_say() -> None:
    entropy = torch.linspace(0, 1, 60).expand(40, 60)
    depth = torch.ones(40, 60)
    depth[:, 30:] = 5
    chosen = choose(depth, entropy)
    assert [one.why for one in chosen] == ["lowest entropy", "median entropy", "highest entropy", "depth edge"]
    by = {one.why: one for one in chosen}
    assert by["lowest entropy"].x < 8 and by["highest entropy"].x > 51 and by["depth edge"].x in (29, 30)
    places = [(one.x, one.y) for one in chosen]
    assert min(math.dist(a, b) for i, a in enumerate(places) for b in places[:i]) >= 0.15 * math.hypot(40, 60) - 1e-6
    assert len(choose(torch.ones(4, 4), torch.ones(4, 4))) >= 1


@pytest.mark.parametrize(("depth", "mean"), [(1.0, 2.32), (5.0, 4.98), (20.0, 20.07), (78.0, 77.09)])
def test_the_released_map_is_the_authors_plateau(depth: float, mean: float) -> None:
    target = depth_map(depth, KITTI, 0.5, "released")
    assert float((target * KITTI).sum()) == pytest.approx(mean, abs=0.01)
    assert float(target.max()) < 0.11


def test_the_gaussian_map_has_the_depth_as_its_mean() -> None:
    assert float((depth_map(20.0, KITTI, 0.5, "gaussian") * KITTI).sum()) == pytest.approx(20, abs=1e-3)
    # Golden value: the released map at 20 m against the uniform distribution, 257 bins.
    uniform = torch.full((257,), 1 / 257)
    assert divergence(depth_map(20.0, KITTI, 0.5, "released"), uniform) == pytest.approx(2.288004, abs=1e-4)


def test_bins_that_are_even_in_the_logarithm_are_treated_so() -> None:
    assert even_in_log(LOG) and not even_in_log(KITTI) and not even_in_log(torch.linspace(-1, 1, 5))
    assert spread_for(LOG, None, "gaussian") == pytest.approx(math.log(100) / 63, rel=1e-4)
    assert spread_for(KITTI, None, "released") == 0.5
    target = depth_map(2.0, LOG, 0.1, "gaussian")
    assert float((target * LOG.log()).sum()) == pytest.approx(math.log(2), abs=1e-3)
    with pytest.raises(ConfigError, match="sigma 0 is no spread"):
        spread_for(LOG, 0.0, "gaussian")


def test_what_cannot_be_explained_is_said_in_a_line() -> None:
    with pytest.raises(ConfigError, match="'x' gives no distribution over depth to explain; models with bins have one"):
        examine(Direct(), picture(), name="x")
    with pytest.raises(ConfigError, match="pixel 60,3 is outside the 60 x 40 picture"):
        examine(Bins(), picture(), pixels=[(60, 3)])
    far = Direct()
    far.depth_kind = DepthKind.AFFINE_DISPARITY
    with pytest.raises(ConfigError, match="affine_disparity, not in metres"):
        examine(Bins(), picture(), teacher=far)


def call(*arguments: str) -> object:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    command.register(app)
    return CliRunner().invoke(app, ["explain", *arguments])


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Any student is ``Bins``, any teacher ``Direct``; the list holds what was asked for."""
    asked: list[str] = []

    def load(name: str, device: object = "cpu") -> nn.Module:
        asked.append(name)
        return Direct() if name.startswith("teacher:") or name == "plain" else Bins()

    monkeypatch.setattr(models, "load_model", load)
    return asked


def test_the_command_draws_and_tells(model: list[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_image(tmp_path / "a.png", picture())
    write_depth_png(tmp_path / "t.png", torch.full((40, 60), 4.0))
    out = tmp_path / "e.png"
    result = call("run", str(tmp_path / "a.png"), "--out", str(out), "--truth", str(tmp_path / "t.png"), "--json",
                  "--pixel", "3,4", "--pixel", "50,30", "--pixel", "9,9", "--pixel", "20,20", "--pixel", "1,39")
    assert result.exit_code == 0, result.exception
    told = json.loads(result.stdout)
    assert model == ["run", "teacher:demo"] and told["teacher"] == "demo"
    assert [(one["x"], one["y"]) for one in told["pixels"]] == [(3, 4), (50, 30), (9, 9), (20, 20), (1, 39)]
    assert told["pixels"][0]["truth"] == 4 and told["pixels"][0]["chosen"] == "given"
    assert out.read_bytes()[:4] == b"\x89PNG"
    text = call("run", str(tmp_path / "a.png"), "--out", str(tmp_path / "e.svg"), "--teacher", "none").stdout
    assert "lowest entropy" in text and "central 90%" in text and model[-1] == "run"


def test_networks_see_the_picture_at_the_size_that_each_was_made_for() -> None:
    shown: list[tuple[int, ...]] = []

    def watched(network: nn.Module, size: tuple[int, int] | None) -> nn.Module:
        network.made_for = MadeFor(train_size=size, eval_size=size)
        network.register_forward_pre_hook(lambda _, given: shown.append(tuple(given[0].shape[-2:])))
        return network

    student, teacher = watched(Bins(), (20, 30)), watched(Direct(), None)
    found = examine(student, picture(), teacher=teacher, pixels=[(3, 4)])
    assert shown == [(20, 30), (40, 60)] and found.seen == (20, 30) and found.depth.shape == (40, 60)
    assert found.document()["seen"] == [20, 30]
    asked = examine(student, picture(), teacher=teacher, pixels=[(3, 4)], size=(20, 30))
    assert torch.equal(found.depth, asked.depth) and shown[2:] == [(20, 30), (20, 30)]
    assert examine(student, picture(), pixels=[(3, 4)], size="native").seen == (40, 60)


def test_the_command_refuses_before_the_work(
    model: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "a.png", picture())
    write_depth_png(tmp_path / "t.png", torch.full((4, 6), 4.0))
    image, out = str(tmp_path / "a.png"), str(tmp_path / "e.png")
    for arguments, kind, message in (
        ((image, "--out", str(tmp_path / "e.txt")), ConfigError, "does not end like a figure"),
        ((image, "--out", out, "--pixel", "3"), ConfigError, "pixel '3' is not X,Y"),
        ((image, "--out", out, "--truth", str(tmp_path / "t.png")), DataError, "4x6 pixels, the picture 40x60"),
        ((str(tmp_path / "no.png"), "--out", out), DataError, "does not exist"),
    ):
        error = call("run", *arguments).exception
        assert isinstance(error, kind) and message in str(error) and "\n" not in str(error)
    monkeypatch.setattr(beliefs.importlib.util, "find_spec", lambda name: None)
    error = call("run", image, "--out", out).exception
    assert isinstance(error, ConfigError) and "pip install matplotlib" in str(error)
    assert model == [] and not (tmp_path / "e.png").exists()


class Plain(nn.Module):
    """Depth alone: a ramp, and what the image adds to it."""

    depth_kind, depth_range = DepthKind.METRIC, (0.1, 10.0)

    def __init__(self, gain: float = 1.0, kind: DepthKind = DepthKind.METRIC) -> None:
        super().__init__()
        self.gain, self.depth_kind = gain, kind

    def forward(self, image: Tensor) -> Prediction:
        ramp = torch.linspace(1, 4, image.shape[-1]).expand(1, 1, *image.shape[-2:])
        return Prediction(depth=self.gain * (ramp + image[:, :1]), kind=self.depth_kind)


def test_a_model_without_bins_is_read_beside_its_teacher() -> None:
    image = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0))
    found = read(Plain(2.0), image, pixels=[(5, 6)], teacher=Plain(), size=None)
    (one,) = found.document()["pixels"]
    assert one["depth"] == pytest.approx(2 * one["teacher"]) and one["truth"] is None and not found.fitted
    kind = DepthKind.AFFINE_DISPARITY
    fitted = read(Plain(2.0, kind), image, teacher=Plain(5.0, kind), size=None)
    assert fitted.fitted and fitted.teacher_depth is not None
    assert torch.allclose(fitted.teacher_depth, fitted.depth, atol=1e-4)
    assert [pixel.why for pixel in fitted.pixels][:2] == ["least depth", "greatest depth"]
    assert read(Plain(2.0), image, teacher=Plain(1.0, kind), size=None).teacher_depth is None


@pytest.mark.parametrize("bins", [False, True])
def test_every_run_is_explained_also_one_that_ground_truth_taught(bins: bool, tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", torch.rand(3, 32, 48))
    spec = f"mobilenet,width=0.35{',head=bins,bins=8' if bins else ''}"
    teacher = {"spec": "ground-truth", "depth_kind": "metric"}
    save_student(tmp_path / "s.safetensors", build("student", spec), spec, {"teachers": [teacher]})
    app = typer.Typer()
    command.register(app)
    call = [str(tmp_path / "s.safetensors"), str(tmp_path / "photo.png"), "--out", str(tmp_path / "f.png")]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0 and (tmp_path / "f.png").is_file()
    assert "knows nothing of a photograph alone" in done.stderr
    assert ("depth alone" in done.stderr) is not bins
    told = json.loads(CliRunner().invoke(app, [*call, "--json", "-q"]).stdout)
    assert told["teacher"] is None and len(told["pixels"]) == 4 and (told["bins"] == 8) is bins
    refused = CliRunner().invoke(app, [*call, "--teacher", "ground-truth"])
    assert isinstance(refused.exception, ConfigError) and "--truth FILE" in str(refused.exception)
