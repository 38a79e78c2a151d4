"""All parts keep the contract, and all studies resolve."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from kdcli.plugins import registry
from kdcli.recipes import read as read_recipe
from kdcli.study.find import read
from kdcli.study.plan import plan
from kdcli.testing import check_loss, check_mixer, check_teacher
from kdcli.transform import TransformNetwork, save


@pytest.fixture
def network(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    made = TransformNetwork(form="both", width=8)
    for part in made.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=0.1)
    save(made, tmp_path / "network.safetensors", {})
    return tmp_path / "network.safetensors"


@pytest.mark.parametrize("options", ["", ",low=0,high=1.5"])
def test_carried(network: Path, options: str) -> None:
    check_mixer(f"carried,files={network}{options}")
    check_mixer(f"carried,files={network}|{network}{options}")


@pytest.mark.parametrize("spec", ["composed", "pasted,source=[sim:blocks,count=8]", "sensor", "sensor,blur=0,noise=0"])
def test_mixers(spec: str) -> None:
    check_mixer(spec)


@pytest.mark.parametrize("spec", ["agreed", "mirrored", "varied", "fading-features", "fading-features,until=0.5"])
def test_losses(spec: str) -> None:
    check_loss(spec)


def test_teacher() -> None:
    check_teacher("both-ways:demo")


@pytest.mark.parametrize("name", ["mixing", "scenes", "transform", "teacher", "steps", "images"])
def test_studies_resolve_and_measure_on_scenes_of_their_own(name: str) -> None:
    assert registry.find("study", f"trials-{name}").built_in is False and read_recipe("data-free-plus")
    where, text = read(f"trials-{name}")
    study = plan(text, source=where)
    assert study.eval_data == "sim:rooms,count=384,seed=3000" and study.seeds == (0, 1, 2, 3, 4)
    steps = {cell.config.main.steps for cell in study.cells}
    assert steps == ({100, 200, 800} if name == "steps" else {400})
