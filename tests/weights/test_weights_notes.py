"""What was taken of a checkpoint is said: on standard error, and where the weights of a model come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner, Result

from kdcli.cli.app import app
from kdcli.errors import WeightsError
from kdcli.plugins import registry
from kdcli.published.guidedepth import GuideDepth
from kdcli.remarks import heard, remark
from kdcli.weights import load_state


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network and its average, as Lightning and others keep them side by side."""
    path = tmp_path_factory.mktemp("two") / "two.ckpt"
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        states.append(GuideDepth(None, size="s").network.state_dict())
    torch.save({"state_dict": {f"net.{k}": v for k, v in states[0].items()}, "ema": states[1], "epoch": 3}, path)
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def first(model: GuideDepth) -> Tensor:
    return next(iter(model.network.state_dict().values()))


def test_a_part_in_the_location_of_any_network(checkpoint: Path) -> None:
    one = registry.build("teacher", f"guidedepth:{checkpoint}#state_dict,size=s")
    two = registry.build("teacher", f"guidedepth:{checkpoint}#ema,size=s")
    assert not torch.equal(first(one), first(two))
    assert torch.equal(first(two), next(iter(load_state(checkpoint, "ema").values())))
    assert one.provenance.notes.endswith("; taken from 'state_dict', 'net.' taken off every name")
    assert two.provenance.notes.endswith("; taken from 'ema'")
    assert one.provenance.weights == str(checkpoint) and one.provenance.sha256 == two.provenance.sha256
    with pytest.raises(WeightsError, match=r"several networks: 'state_dict' with \d+ tensors, 'ema' with \d+ tensors"):
        registry.build("teacher", f"guidedepth:{checkpoint},size=s")


def test_a_command_says_what_it_took(checkpoint: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    model = f"teacher:guidedepth:{checkpoint}#state_dict,size=s"
    words = ("predict", model, tmp_path / "a.png", "--out", tmp_path / "o")
    line = "two.ckpt: taken from 'state_dict', 'net.' taken off every name"
    loud, quiet = run(*words), run(*words, "--quiet")
    assert loud.exit_code == quiet.exit_code == 0
    assert loud.stderr.count(line) == 1 and line not in quiet.stderr


def test_convert_says_what_it_took_and_how_to_take_another(checkpoint: Path, tmp_path: Path) -> None:
    made = run("weights", "convert", checkpoint, "--out", tmp_path / "a.safetensors")
    assert made.exit_code == 0 and "'state_dict'; left: 'ema'" in made.stderr
    assert "several networks: --part ema takes another" in made.stderr
    assert "'net.' stood before every name and was taken off" in made.stderr and "not finite" not in made.stderr
    other = run("weights", "convert", checkpoint, "--part", "ema", "--out", tmp_path / "b.safetensors")
    assert "taken from" in other.stderr and "stood before" not in other.stderr
    kept = load_state(tmp_path / "b.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in load_state(checkpoint, "ema").items())


def test_convert_says_how_many_numbers_are_none(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2), "b": torch.full((1200,), float("nan"))}, tmp_path / "x.pth")
    made = run("weights", "convert", tmp_path / "x.pth")
    assert made.exit_code == 0 and "warning: 1,200 numbers are not finite, the first of them in b\n" in made.stderr


def test_remarks_are_told_once_to_those_who_listen() -> None:
    remark("nobody hears this")
    inner: list[str] = []
    outer: list[str] = []
    with heard(outer.append):
        with heard(inner.append):
            remark("a")
            remark("a")
        remark("b")
        remark("a")
    remark("c")
    assert inner == ["a"] and outer == ["a", "b"]
