"""From a student and measured depth to a new student file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from torch import Tensor, nn
from typer.testing import CliRunner

import kdcli
from kdcli.calibration import calibrate, samples
from kdcli.calibration.job import note_of
from kdcli.cli import calibrate as command
from kdcli.errors import ConfigError, DataError, WeightsError
from kdcli.evals.protocol import find
from kdcli.files import sha256_of
from kdcli.plugins import registry
from kdcli.sources import load_source
from kdcli.students.files import load_student, read_card, save_student
from kdcli.types import DepthKind, MadeFor, Prediction, ReadOut, Sample

SIZE = (32, 48)


def _student(path: Path, kind: DepthKind = DepthKind.METRIC) -> nn.Module:
    """Write a student with random weights whose numbers reach from 0.1 to 10."""
    torch.manual_seed(0)
    student = registry.build("student", "mobilenet,width=0.35").eval()
    nn.init.normal_(student.head.conv.weight, std=0.5)
    student.depth_kind = kind
    made = MadeFor(train_size=SIZE, eval_size=SIZE, domain="indoor", near=0.1, far=10.0)
    save_student(path, student, student.architecture, {"licence": "L", "teachers": [], "size": list(SIZE)},
                 made_for=made)
    return load_student(path)[0]


class Truth:
    """Images whose measured depth is a function of what a student says of them."""

    name, depth_kind = "truth", DepthKind.METRIC

    def __init__(self, student: nn.Module, truth: Callable[[Tensor], Tensor], count: int = 12) -> None:
        self.student, self.truth, self.count = student, truth, count

    def __len__(self) -> int:
        return self.count

    @torch.no_grad()
    def __getitem__(self, index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        image = nn.functional.interpolate(torch.rand(1, 3, 4, 6, generator=generator), size=SIZE, mode="bilinear")
        depth = self.truth(self.student(image).depth[0])
        depth = depth * (0.03 * torch.randn(depth.shape, generator=generator)).exp()
        return Sample(id=f"{index:02}", image=image[0], depth=depth, valid=torch.rand(depth.shape) < 0.9)


@pytest.mark.parametrize(("truth", "name"), [
    (lambda x: x, "none"), (lambda x: 1.7 * x, "scale"), (lambda x: 1.7 * x**1.4, "scale-exponent"),
])
def test_a_metric_student(tmp_path: Path, truth: Callable[[Tensor], Tensor], name: str) -> None:
    file = tmp_path / "student.safetensors"
    student = _student(file)
    before = sha256_of(file)
    found = calibrate(file, "truth", Truth(student, truth))
    assert found.out == tmp_path / "student-calibrated.safetensors" and sha256_of(file) == before
    assert found.choice.name == name
    model, card = load_student(found.out)
    image = Truth(student, truth)[3].image[None]
    with torch.no_grad():
        wanted = truth(student(image).depth)
        assert torch.allclose(model(image).depth, wanted, rtol=0.05)
        if name == "none":
            assert torch.equal(model(image).depth, wanted)
    told = card["calibration"]
    assert told["choice"] == name and told["data"] == "truth" and told["images"] == 12 and told["folds"] == 5
    assert told["of"] == {"file": "student.safetensors", "sha256": before} and told["sizes"] == [list(SIZE)]
    assert {"none", "scale", "scale-exponent", "constant"} == told["held_out"].keys()
    assert card["licence"] == "L" and card["teachers"] == [] and card["size"] == list(SIZE)
    ends = truth(torch.tensor([0.1, 10.0])).tolist()
    assert card["depth_range"] == pytest.approx(ends, rel=0.15) and model.made_for.train_size == SIZE
    assert [model.made_for.near, model.made_for.far] == card["depth_range"]
    assert bool([note for note in note_of(found) if "hold as they are" in note]) == (name == "none")


def test_a_relative_student_becomes_metric(tmp_path: Path) -> None:
    file = tmp_path / "s.safetensors"
    student = _student(file, DepthKind.AFFINE_DISPARITY)
    found = calibrate(file, "truth", Truth(student, lambda x: 1 / (0.1 * x + 0.05)), out=tmp_path / "m.safetensors")
    assert found.choice.name == "scale-shift"
    model, card = load_student(found.out)
    assert card["depth_kind"] == "metric" and card["calibration"]["network_kind"] == "affine_disparity"
    image = Truth(student, lambda x: x)[3].image[None]
    with torch.no_grad():
        assert torch.allclose(model(image).depth, 1 / (0.1 * student(image).depth + 0.05), rtol=0.05)
    teacher = kdcli.load_model(f"teacher:run:{found.out}")
    assert teacher.depth_kind is DepthKind.METRIC and teacher.made_for.far == card["depth_range"][1] < 50
    again = calibrate(found.out, "more", Truth(model, lambda x: 1.2 * x))
    assert again.choice.name == "scale" and again.document()["after"]["data"] == "truth"
    twice, _ = load_student(again.out)
    with torch.no_grad():
        assert torch.allclose(twice(image).depth, 1.2 * model(image).depth, rtol=0.02)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "m-calibrated.safetensors", "m.safetensors", "s.safetensors"]


def test_a_relative_student_that_has_no_common_scale_is_refused(tmp_path: Path) -> None:
    file, turn = tmp_path / "s.safetensors", itertools.cycle(torch.linspace(-4, 2, 12).exp().tolist())
    student = _student(file, DepthKind.SCALE_INVARIANT)
    with pytest.raises(DataError, match=r"has no common scale on 'truth': .* stays without metres"):
        calibrate(file, "truth", Truth(student, lambda x: (next(turn) * x).clamp(max=79)))
    assert [path.name for path in tmp_path.iterdir()] == ["s.safetensors"]


def test_what_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "student.safetensors"
    truth = Truth(_student(file), lambda x: x)
    for out in (file, tmp_path / "x.onnx"):
        with pytest.raises(ConfigError, match=r"there already|no name of a student's"):
            calibrate(file, "truth", truth, out=out)
    with pytest.raises(ConfigError, match="aligns to the ground truth"):
        calibrate(file, "truth", truth, protocol="plain+median")
    for other in ("teacher:demo", "s.onnx"):
        with pytest.raises(ConfigError, match="no student's own file"):
            calibrate(Path(other), "truth", truth)
    with pytest.raises(WeightsError, match="no model at"):
        calibrate(tmp_path / "nothing", "truth", truth)
    with pytest.raises(DataError, match="has 1 image"):
        calibrate(file, "truth", truth, limit=1)
    with pytest.raises(DataError, match="none of the 12 images"):
        calibrate(file, "truth", Truth(truth.student, lambda x: 0 * x))
    with pytest.raises(DataError, match="no ground truth"):
        calibrate(file, "noise", load_source("sim:noise,count=3"))
    assert [path.name for path in tmp_path.iterdir()] == ["student.safetensors"]


def test_pixels_are_the_same_whatever_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_EACH", 50)
    source = load_source("sim:rooms,count=5,seed=3,size=32x48")
    student = _student(tmp_path / "s.safetensors")
    one, other = (
        samples.gather(student, source, range(5), find("plain"), device=torch.device("cpu"), size="own",
                       batch_size=size, seed=4) for size in (1, 3)
    )
    assert torch.allclose(one.said, other.said, rtol=1e-5) and torch.equal(one.metres, other.metres)
    assert one.image.tolist() == [i for i in range(5) for _ in range(50)] and one.ids == other.ids
    another = samples.gather(student, source, range(5), find("plain"), device=torch.device("cpu"), size="own",
                             batch_size=3, seed=5)
    assert not torch.equal(one.metres, another.metres)


def test_the_camera_is_taken_out_before_and_comes_back_after() -> None:
    """Of a network whose depth is multiplied by focal length / 100: as it will be read out again."""

    class Lens(nn.Module):
        depth_kind, read_out, taps = DepthKind.METRIC, ReadOut(focal=100.0), {}

        def forward(self, image: Tensor) -> Prediction:
            return Prediction(depth=image[:, :1] + 1, kind=self.depth_kind)

    class Views(Truth):
        def __getitem__(self, index: int) -> Sample:
            image = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(index))
            focal = 100.0 * (index + 1)
            return Sample(id=str(index), image=image, depth=3 * (image[:1] + 1) * focal / 100,
                          intrinsics=torch.tensor([focal, focal, 24, 16]))

    lens = Lens()
    found = samples.gather(lens, Views(lens, lambda x: x, 3), range(3), find("plain"), device=torch.device("cpu"),
                           size=None, batch_size=2, seed=0)
    assert torch.allclose(found.metres, 3 * found.said, rtol=1e-5)


def _call(*arguments: object) -> object:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    command.register(app)
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def test_the_command(tmp_path: Path) -> None:
    file, rooms = tmp_path / "student.safetensors", "sim:rooms,count=6,seed=7"
    _student(file)
    (tmp_path / "run").mkdir()
    file.rename(tmp_path / "run" / "student.safetensors")
    done = _call(tmp_path / "run", "--data", rooms, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    out = tmp_path / "run" / "student-calibrated.safetensors"
    assert told["out"] == str(out) and told["images"] == 6
    card = read_card(out)
    assert card["calibration"]["scale"] == told["scale"] and card["depth_range"] == told["depth_range"]
    assert card["calibration"]["held_out"] == told["held_out"]
    shown = _call(tmp_path / "run", "--data", rooms, "--out", tmp_path / "o.safetensors", "--size", "64x96")
    assert shown.exit_code == 0 and "held-out error, 6 images" in shown.stdout and "metres = " in shown.stdout
    assert isinstance(_call(tmp_path / "run", "--data", rooms).exception, ConfigError)
    assert _call(tmp_path / "run").exit_code == 2
