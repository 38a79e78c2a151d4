"""A student with a formula behind its network: numbers, files, exports."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import kdcli
from kdcli.cache.identity import key_of
from kdcli.errors import WeightsError
from kdcli.exporters import export
from kdcli.networks.taps import TapReader
from kdcli.plugins import registry
from kdcli.students.calibrated import Calibrated, Calibration, read
from kdcli.students.files import CARD, load_student, read_card, save_student
from kdcli.testing import ToyDepth, check_student, check_teacher, toy_batch
from kdcli.types import DepthKind, Prediction, ReadOut
from kdcli.uncertainty import spread_of
from kdcli.weights import load_tensors, save

FORMULAS = {
    "scale": Calibration(scale=1.3, kind=DepthKind.METRIC, near=0.13, far=13.0),
    "exponent": Calibration(scale=1.3, exponent=0.8, kind=DepthKind.METRIC, near=0.2, far=8.3),
    "scale of disparity": Calibration(scale=5.0, exponent=-1.0, kind=DepthKind.AFFINE_DISPARITY, near=0.4, far=30.0),
    "shift of disparity": Calibration(
        scale=5.0, exponent=-1.0, offset=-1.5, kind=DepthKind.AFFINE_DISPARITY, near=0.4, far=9.0),
    "shift of depth": Calibration(scale=2.0, offset=-0.5, kind=DepthKind.AFFINE_DEPTH, near=0.4, far=15.0),
}
EXPECTED: dict[str, Callable[[Tensor], Tensor]] = {
    "scale": lambda x: 1.3 * x,
    "exponent": lambda x: 1.3 * x**0.8,
    "scale of disparity": lambda x: (5 / x).clamp(0.4, 30),
    "shift of disparity": lambda x: torch.where(x > 1.5, 5 / (x - 1.5), 9).clamp(0.4, 9),
    "shift of depth": lambda x: (2 * (x - 0.5)).clamp(0.4, 15),
}


def _toy(name: str, **options: Any) -> Calibrated:
    return Calibrated(ToyDepth(kind=FORMULAS[name].kind, **options), FORMULAS[name]).eval()


@pytest.mark.parametrize("name", FORMULAS)
def test_all_that_tells_of_depth_is_brought_along(name: str) -> None:
    model, image, metres = _toy(name, spread=True), toy_batch(batch=2).image, EXPECTED[name]
    with torch.no_grad():
        own: Prediction = model.network(image)
        said = model(image)
    assert said.kind is model.depth_kind is DepthKind.METRIC
    assert torch.allclose(said.depth, metres(own.depth), rtol=1e-5)
    assert all(torch.allclose(a, metres(b), rtol=1e-5) for a, b in zip(said.aux, own.aux, strict=True))
    assert all(torch.allclose(a, metres(b), rtol=1e-5) for a, b in zip(said.branches, own.branches, strict=True))
    assert (said.centers.diff(dim=1) >= 0).all(), "bins go from near to far"
    if FORMULAS[name].exponent < 0:
        own = replace(own, probs=own.probs.flip(1), centers=own.centers.flip(1))
    assert torch.allclose(said.centers, metres(own.centers), rtol=1e-5) and torch.equal(said.probs, own.probs)
    step = 1e-3
    slope = (metres(own.depth + step) - metres(own.depth - step)) / (2 * step)
    inside = (said.depth > model.depth_range[0] * 1.01) & (said.depth < model.depth_range[1] * 0.99)
    assert inside.any() and torch.allclose(said.std[inside], (own.std * slope.abs())[inside], rtol=1e-2)
    assert torch.equal(said.entropy, own.entropy)


def test_numbers_for_people_are_those_of_the_graph() -> None:
    for name, formula in FORMULAS.items():
        x = torch.linspace(0.3, 9, 50)
        told = torch.tensor([formula.metres(float(one)) for one in x])
        assert torch.allclose(_toy(name).metres(x), told, rtol=1e-5), name


def test_the_spread_of_bins_grows_with_the_scale() -> None:
    model, image = _toy("scale"), toy_batch(batch=2).image
    with torch.no_grad():
        own, said = spread_of(model.network(image), (0.9,)), spread_of(model(image), (0.9,))
    assert own is not None and said is not None and own.ends is not None and said.ends is not None
    assert torch.allclose(said.std, 1.3 * own.std, rtol=1e-4) and torch.allclose(said.ends, 1.3 * own.ends, rtol=1e-4)


def test_one_formula_for_two() -> None:
    first = FORMULAS["shift of disparity"]
    both = first.after(1.2, 0.9, 0.5, 9.0)
    x = torch.linspace(2.5, 9, 20)
    assert torch.allclose(Calibrated(ToyDepth(), both).metres(x), 1.2 * EXPECTED["shift of disparity"](x) ** 0.9)


def test_the_read_out_follows() -> None:
    network = ToyDepth(kind=DepthKind.AFFINE_DISPARITY)
    network.read_out = ReadOut(focal=500.0, clip=(1.0, 10.0), resize="bicubic", flip=True)
    found = Calibrated(network, FORMULAS["scale of disparity"]).read_out
    assert found == ReadOut(focal=500.0, clip=(0.5, 5.0), resize="bicubic", flip=True)


@pytest.mark.parametrize("name", ["exponent", "shift of disparity"])
def test_it_conforms(name: str) -> None:
    check_student(_toy(name))
    model = _toy(name)
    model.provenance = model.network.provenance
    check_teacher(model)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A student with bins, and the file of its calibrated form."""
    torch.manual_seed(0)
    network = registry.build("student", "mobilenet,width=0.35,head=bins,bins=8").eval()
    nn.init.normal_(network.head.conv.weight, std=0.3)
    file = tmp_path_factory.mktemp("calibrated") / "s.safetensors"
    facts = {"licence": "L", "calibration": {"choice": "scale-exponent", "data": "rgbd:X", "images": 7}}
    save_student(file, Calibrated(network, FORMULAS["exponent"]), "", facts)
    return network, file


def test_a_file_and_back(written: tuple[nn.Module, Path]) -> None:
    network, file = written
    assert load_tensors(file).keys() == network.state_dict().keys(), "the network's own names"
    model, card = load_student(file)
    assert card["depth_range"] == [0.2, 8.3] and card["depth_kind"] == "metric" and card["student"].startswith("mobile")
    assert card["calibration"] == {"choice": "scale-exponent", "data": "rgbd:X", "images": 7, "scale": 1.3,
                                   "exponent": 0.8, "offset": 0.0, "network_kind": "metric"}
    image = toy_batch(batch=2, size=(64, 96)).image
    with torch.no_grad(), TapReader(model, ["enc2"]) as reader:
        said = model(image)
        assert torch.allclose(said.depth, 1.3 * network(image).depth ** 0.8, rtol=1e-5)
    assert reader.features["enc2"].shape[0] == 2
    teacher = kdcli.load_model(f"teacher:run:{file}")
    with torch.no_grad():
        assert torch.equal(teacher(image).depth, said.depth)
    assert teacher.depth_range == (0.2, 8.3)
    again = file.with_name("again.safetensors")
    save_student(again, model, "", card)
    assert read_card(again) == card and load_tensors(again).keys() == load_tensors(file).keys()


def test_another_formula_is_another_teacher(written: tuple[nn.Module, Path], tmp_path: Path) -> None:
    network, file = written
    other = tmp_path / "o.safetensors"
    save_student(other, Calibrated(network, replace(FORMULAS["exponent"], scale=1.31)), "", {})
    keys = [key_of(f"run:{f}", kdcli.load_model(f"teacher:run:{f}"), (64, 96)) for f in (file, other)]
    assert keys[0].digest != keys[1].digest
    assert len({key.teacher["weights"] for key in keys}) == 2


@pytest.mark.parametrize(("key", "value"), [
    (key, value) for key, values in {
        "calibration": (None, 3, [], "x", {}),
        "scale": (None, "1", 0, -1, 1e300, math.nan, True), "exponent": (None, 0, -1, 50, math.inf),
        "offset": (None, "0", 0.5), "network_kind": (None, "metres", 3), "depth_range": ([-1, 3], [0.1, 1e200]),
        "depth_kind": ("affine_disparity", "scale_invariant"),
    }.items() for value in values
])
def test_damaged_cards(written: tuple[nn.Module, Path], tmp_path: Path, key: str, value: Any) -> None:
    _, file = written
    card, path = read_card(file), tmp_path / "changed.safetensors"
    (card if key in card else card["calibration"])[key] = value
    save(path, load_tensors(file), {CARD: json.dumps(card)})
    with pytest.raises(WeightsError, match="is damaged") as caught:
        load_student(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_disparity_takes_what_depth_does_not() -> None:
    told = {"scale": 2.0, "exponent": -1.0, "offset": 0.5, "network_kind": "affine_disparity"}
    assert read(told, DepthKind.METRIC, (0.1, 9.0)).offset == 0.5
    for wrong in ({"exponent": 1.0}, {"network_kind": "metric", "exponent": 1.0}):
        with pytest.raises(ValueError, match="cannot have"):
            read(told | wrong, DepthKind.METRIC, (0.1, 9.0))
    with pytest.raises(ValueError, match="no ends"):
        read(told, DepthKind.METRIC, (0.0, 9.0))


def test_formulas_that_no_file_may_have() -> None:
    """What is put together is held to what is read."""
    metric = FORMULAS["exponent"]
    assert all(one.fault() is None for one in FORMULAS.values())
    assert metric.after(1.1, 1.1, 0.2, 9.0).fault() is None
    for made, words in (
        (replace(metric, exponent=0.3).after(1.0, 0.3, 0.2, 9.0), "exponent of calibration is 0.09, which metric"),
        (replace(metric, exponent=3.0).after(1.0, 3.5, 0.2, 9.0), r"is 10.5, which metric cannot have \(0.1 to 10\)"),
        (FORMULAS["shift of disparity"].after(1.0, 12.0, 0.2, 9.0), r"is -12, which .* \(-10 to -0.1\)"),
        (replace(metric, scale=1e7).after(1e7, 1.0, 0.2, 9.0), "scale of calibration is 1e"),
        (replace(metric, scale=1e-7).after(1e-7, 1.0, 0.2, 9.0), "scale of calibration is 1e-14"),
        (metric.after(1.0, 1.0, 0.2, metric.metres(1e20)), "to 1.3e.16, which are no ends"),
        (metric.after(1.0, 1.0, 0.2, replace(metric, exponent=9.0).metres(1e200)), "to inf, which are no ends"),
    ):
        wrong = made.fault()
        assert wrong is not None and re.search(words, wrong), wrong
        with pytest.raises(ValueError, match=words.split(",")[0]):
            read(made.document(), DepthKind.METRIC, (made.near, made.far))


@pytest.mark.parametrize("form", ["onnx", "pt2"])
@pytest.mark.parametrize("name", ["exponent", "shift of disparity"])
def test_exports_hold_the_formula(form: str, name: str, tmp_path: Path) -> None:
    model, file = _toy(name), tmp_path / f"s.{form}"
    model.card = {"calibration": {"choice": "scale-exponent"}}
    told = export(model, form, file, size=(32, 48), uncertainty=True)
    assert told.worst is not None and told.worst.relative < 1e-4
    back = kdcli.load_model(file)
    assert back.depth_kind is DepthKind.METRIC and back.depth_range == model.depth_range
    assert back.card["calibration"] == {"choice": "scale-exponent"}
    image = toy_batch(batch=1).image
    with torch.no_grad():
        assert torch.allclose(back(image).depth, model(image).depth, rtol=1e-4)
