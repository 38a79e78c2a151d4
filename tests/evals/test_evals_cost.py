"""Parameters and multiply-adds beside accuracy, for every kind of model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from evals_doubles import Answers, ListSource, sample
from torch import Tensor, nn

import kdcli
from kdcli.evals import evaluate
from kdcli.evals.baseline import Constant
from kdcli.evals.cost import Cost, cost_of, parameters_of
from kdcli.exporters import export, load_exported
from kdcli.plugins import registry
from kdcli.teachers.ground_truth import GroundTruth
from kdcli.teachers.onnx import OnnxTeacher
from kdcli.types import DepthKind, Prediction, ReadOut

SMALL, LARGE = (64, 96), (96, 160)
SCENES = ListSource([sample(str(i), SMALL, seed=i) for i in range(3)])


class Convolved(nn.Module):
    """One 3x3 convolution of three colours to one map: 27 multiply-adds a pixel, 28 parameters."""

    depth_kind = DepthKind.METRIC

    def __init__(self, *, flip: bool = False) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3, padding=1)
        self.read_out = ReadOut(flip=flip)
        self.calls = 0

    def forward(self, image: Tensor) -> Prediction:
        self.calls += 1
        return Prediction(depth=1 + self.layer(image).abs(), kind=self.depth_kind)


def test_a_network_is_counted_at_the_size_that_it_sees() -> None:
    for asked, size in ((None, SMALL), (LARGE, LARGE)):
        found = evaluate({"net": Convolved()}, SCENES, size=asked)["net"]
        assert found.cost == Cost(parameters=28, multiply_adds=27 * size[0] * size[1], size=size)
        document = found.document()
        assert (document["parameters"], document["multiply_adds"]) == (28, 27 * size[0] * size[1])
        assert document["multiply_adds_at"] == list(size)


def test_one_image_is_counted_once_and_not_mirrored() -> None:
    network = Convolved(flip=True)
    found = evaluate({"net": network}, SCENES, batch_size=3)["net"]
    assert found.cost.multiply_adds == 27 * SMALL[0] * SMALL[1]
    assert network.calls == 2 + 1  # both views of the batch, and the image that is counted


def test_counting_moves_no_number_and_no_mode() -> None:
    class Uncounted(Convolved):
        outside_work = True

    torch.manual_seed(0)
    network, other = Convolved(), Uncounted()
    other.load_state_dict(network.state_dict())
    found = evaluate({"net": network, "other": other}, SCENES)
    assert torch.equal(found["net"].values, found["other"].values)
    assert found["other"].cost == Cost(parameters=28)
    assert network.training and not network._forward_pre_hooks
    assert torch.backends.mha.get_fastpath_enabled()


def test_what_has_no_parameters_costs_nothing_to_tell() -> None:
    models: dict[str, nn.Module] = {
        "constant": Constant(), "truth": GroundTruth(), "formula": Answers(lambda image: 1 + image.mean(1, True)),
    }  # fmt: skip
    for result in evaluate(models, SCENES).values():
        assert result.cost == Cost()
        assert result.document()["parameters"] is result.document()["multiply_adds_at"] is None


def test_attention_is_counted() -> None:
    width, tokens = 16, 6
    layer = nn.TransformerEncoderLayer(width, 4, dim_feedforward=32, batch_first=True).eval()
    found = cost_of(layer, lambda form: form(torch.rand(1, tokens, width)), SMALL)
    projections = tokens * width * (4 * width + 2 * 32)
    assert found.multiply_adds == projections + 2 * tokens * tokens * width


def test_a_model_that_the_counter_cannot_follow_is_measured_all_the_same() -> None:
    class Shy(Convolved):
        def forward(self, image: Tensor) -> Prediction:
            if torch.utils._python_dispatch._get_current_dispatch_mode() is not None:
                raise RuntimeError("not under a mode")
            return super().forward(image)

    found = evaluate({"shy": Shy()}, SCENES)["shy"]
    assert found.n == 3 and found.cost == Cost(parameters=28)


def test_branches_that_fold_are_counted_as_they_are_exported() -> None:
    class Folding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 1, 3, padding=1), nn.Conv2d(3, 1, 3, padding=1)

        def forward(self, image: Tensor) -> Prediction:
            return Prediction(depth=1 + (self.one(image) + self.two(image)).abs(), kind=DepthKind.METRIC)

        def deployed(self) -> nn.Module:
            folded = Convolved()
            with torch.no_grad():
                folded.layer.weight.copy_(self.one.weight + self.two.weight)
                folded.layer.bias.copy_(self.one.bias + self.two.bias)  # type: ignore[union-attr,operator]
            return folded

    class Refusing(Folding):
        def deployed(self) -> nn.Module:
            raise RuntimeError("not today")

    found = evaluate({"folding": Folding(), "refusing": Refusing()}, SCENES)
    assert found["folding"].cost == Cost(parameters=28, multiply_adds=27 * SMALL[0] * SMALL[1], size=SMALL)
    assert found["refusing"].cost == Cost(parameters=56, multiply_adds=54 * SMALL[0] * SMALL[1], size=SMALL)


def test_several_teachers_cost_their_sum() -> None:
    torch.manual_seed(0)
    demo = kdcli.load_model("teacher:demo")
    models = {spec: kdcli.load_model(f"teacher:{spec}") for spec in ("mean:[demo|demo]", "best:[demo|demo]")}
    found = evaluate({"demo": demo, **models}, SCENES)
    one = found["demo"].cost
    assert one.parameters == sum(p.numel() for p in demo.parameters()) and one.multiply_adds and one.size == SMALL
    for spec in models:
        both = Cost(parameters=2 * one.parameters, multiply_adds=2 * one.multiply_adds, size=SMALL)
        assert found[spec].cost == both


@pytest.mark.slow
def test_exported_files_tell_what_they_can(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = registry.build("student", "mobilenet,width=0.5").eval()
    for form in ("onnx", "pt2"):
        export(model, form, tmp_path / f"net.{form}", size=SMALL, verify=False)
    files = {form: load_exported(tmp_path / f"net.{form}") for form in ("onnx", "pt2")}
    found = evaluate({"net": model, **files, "teacher": OnnxTeacher(str(tmp_path / "net.onnx"))}, SCENES)
    whole = found["net"].cost
    assert whole.parameters == sum(p.numel() for p in model.parameters())
    assert found["pt2"].cost == whole
    assert found["onnx"].cost == found["teacher"].cost == Cost(parameters=whole.parameters)


def test_what_is_not_known_of_a_part_is_not_known_of_the_whole() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Identity())
    assert parameters_of(network) == 6
    network[1].outside_parameters = 10  # type: ignore[assignment]
    assert parameters_of(network) == 16
    network[1].outside_parameters = None  # type: ignore[assignment]
    assert parameters_of(network) is None


@pytest.mark.parametrize("said", ["-3", "true", "2.5", "many", "[1]", None])
def test_a_file_that_says_nonsense_of_its_parameters_says_nothing(said: str | None) -> None:
    from kdcli.guard.metadata import count_of

    assert count_of(said) is None
    assert count_of("6054609") == 6_054_609
