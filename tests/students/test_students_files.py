"""The card in a student's file, when it is damaged or a stranger's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcli.errors import WeightsError
from kdcli.networks.limits import no_larger_than
from kdcli.students.files import CARD, _bare, load_student, read_card, save_student
from kdcli.students.mobilenet import MobileNet
from kdcli.types import MadeFor
from kdcli.weights import load_tensors, save


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("student") / "student.safetensors"
    save_student(path, MobileNet(width=0.35), "mobilenet", {"teachers": [{"spec": "demo"}], "size": [64, 96]})
    return path


@pytest.fixture
def changed(student: Path, tmp_path: Path) -> Callable[[Any], Path]:
    """Return what writes the same tensors with another card, or the same one with some of its keys changed."""
    tensors, card = load_tensors(student), read_card(student)

    def write(change: Any) -> Path:
        path = tmp_path / "changed.safetensors"
        save(path, tensors, {CARD: json.dumps(card | change) if isinstance(change, dict) else change})
        return path

    return write


def _refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_student(path)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500 and str(path) in text
    return text


def test_the_card_that_was_written_is_read(student: Path, changed: Callable[[Any], Path]) -> None:
    network, card = load_student(changed({}))
    assert card["student"].startswith("mobilenet,width=0.35,") and network.card == card
    tensors = load_tensors(student)
    assert all(torch.equal(value, tensors[name]) for name, value in network.state_dict().items())


def test_a_student_knows_what_it_was_made_for(changed: Callable[[Any], Path], tmp_path: Path) -> None:
    made = MadeFor(train_size=(32, 40), eval_size=(48, 64), domain="driving", near=1.0, far=80.0)
    save_student(tmp_path / "new.safetensors", MobileNet(width=0.35), "mobilenet", {"size": [48, 64]}, made_for=made)
    assert load_student(tmp_path / "new.safetensors")[0].made_for == made
    # An older card tells the size of training alone.
    assert load_student(changed({}))[0].made_for == MadeFor(train_size=(64, 96), eval_size=(64, 96))
    save_student(tmp_path / "old.safetensors", MobileNet(width=0.35), "mobilenet", {})
    assert load_student(tmp_path / "old.safetensors")[0].made_for is None


@pytest.mark.parametrize("asked", ["mobilenet,width=0.35,pretrained=true", "mobilenet,width=0.35"])
def test_a_card_makes_nobody_fetch_weights(changed: Callable[[Any], Path], asked: str) -> None:
    assert str(_bare(asked)) == "mobilenet,width=0.35,pretrained=false"
    assert isinstance(load_student(changed({"student": asked}))[0], MobileNet)


def test_a_card_makes_nobody_read_other_weights(tmp_path: Path) -> None:
    from kdcli.published.guidedepth import GuideDepth

    path = tmp_path / "student.safetensors"
    network = GuideDepth(None, size="s")
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    card = {"student": f"guidedepth:{tmp_path}/others.pth,size=s", "teachers": [], "depth_kind": "metric",
            "depth_range": list(network.depth_range)}
    save(path, tensors, {CARD: json.dumps(card)})
    assert isinstance(load_student(path)[0], GuideDepth)


@pytest.mark.parametrize("text", ["", "x", "3", "[]", "null", '"a"', "[" * 200_000, '{"a":' * 50_000, "\x00", "{} {}"])
def test_cards_that_are_no_cards(changed: Callable[[Any], Path], text: str) -> None:
    assert "the card in" in _refused(changed(text))


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key, values in {
        "student": (None, 3, [], {}, "", "///", "x" * 5000, "mobilenet,nothing=1", "mobilenet,width=much"),
        "depth_kind": (None, 3, [], {}, "", "metres", True),
        "depth_range": (None, 3, "ab", [], [1], [1, 2, 3], [2, 1], [1, 1], ["a", "b"], [None, 1], [True, 2], [[1], [2]],
                        [0.1, float("nan")], {"a": 1, "b": 2}),
        "teachers": (None, 3, "ab", {}, [3], [{}], ["demo"]),
        "size": (3, "64x96", [64], [64, 0], [[64], [96]], {"height": 64}),
        "made_for": (None, 3, [], "64x96", {"train_size": [1]}, {"eval_size": ["a", "b"]}, {"domain": "space"},
                     {"near": -1}, {"far": "10"}, {"near": 5, "far": 2}, {"test": 3}, {"fit": 1}),
    }.items() for value in values],
)
def test_values_of_another_sort(changed: Callable[[Any], Path], key: str, value: Any) -> None:
    assert "is damaged" in _refused(changed({key: value}))


def test_a_network_far_larger_than_its_file_is_not_made(changed: Callable[[Any], Path]) -> None:
    for spec in ("mobilenet,width=0.35,decoder=1000000", "mobilenet,width=0.35,head=bins,bins=1000000000"):
        assert re.search("far larger than itself|is beyond", _refused(changed({"student": spec})))


def test_what_a_network_may_make_is_counted() -> None:
    makers: list[Callable[[int], object]] = [
        lambda n: torch.zeros(n), lambda n: torch.empty((n, 1)), lambda n: torch.ones(1, n), lambda n: torch.arange(n),
        lambda n: torch.linspace(0, 1, n), lambda n: torch.full((n,), 1.0), lambda n: torch.rand([n]),
        lambda n: torch.arange(0, n, 1), lambda n: torch.linspace(0, 1, steps=n), lambda n: torch.empty(size=(n,)),
        lambda n: torch.nn.Conv2d(n, 1, 1),
    ]
    for make in makers:
        with no_larger_than(0, 0, "it"):
            make(1000)
            with pytest.raises(WeightsError, match="it describes a network far larger than itself"):
                make(1 << 40)
    with no_larger_than(0, 0, "it"), pytest.raises(WeightsError, match="far larger"):
        torch.eye(1 << 20)
    with no_larger_than(0, 0, "it"), pytest.raises(WeightsError, match="far larger"):
        for _ in range(70):  # many small ones are one large one; each is let go at once
            torch.empty(1 << 20)
    with no_larger_than(1 << 30, 10, "it"), pytest.raises(WeightsError, match="far larger"):
        for _ in range(1081):
            torch.empty(1)
    assert torch.empty(3).shape == (3,)
