"""Networks that losses train along: kept as students' files, refused before the first step where that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from contract_runs import Prototype, differing, go_on, trained
from test_contract_losses import one

import kdcli
from kdcli.config import load
from kdcli.errors import ConfigError, PluginError
from kdcli.plugins import registry
from kdcli.training.run.finish import stage_rows
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill

PEER = '"peer,network=[tiny,width=5],as=peer" = 1.0, log-l1 = 1.0'
FILE = "stages/peer.network.safetensors"


def test_a_peer_is_kept_as_a_student(installed: Path, tmp_path: Path) -> None:
    run = distill(one(PEER), out=tmp_path / "run").run
    peer = kdcli.load_model(run / FILE)
    assert peer.architecture.startswith("tiny,width=5,") and peer.made_for.train_size == (32, 48)
    assert peer.card["stage"] == "main" and peer.card["seed"] == 0 and peer.card["licence"] == "MIT"
    assert [row["name"] for row in peer.card["teachers"]] == ["tiny-1"]
    told = RunFolder(run).manifest()["networks"]
    assert told == {FILE: {"stage": "main", "student": peer.architecture}}
    (row,) = stage_rows(RunFolder(run).config(), RunFolder(run))
    assert row["trained along"] == FILE


def test_it_is_what_the_loss_came_to(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    loss = registry.load(registry.find("loss", "peer"))
    usual = loss.networks

    def watched(self: Any) -> Any:
        made.append(self)
        return usual(self)

    monkeypatch.setattr(loss, "networks", watched)
    run = distill(one(PEER), out=tmp_path / "run").run
    last = made[-1].network.state_dict()
    kept = trained(run)[FILE]
    assert kept.keys() == last.keys() and all(torch.equal(kept[name], last[name]) for name in last)


def test_a_twin_keeps_none(installed: Path, tmp_path: Path) -> None:
    recipe = Path(__file__).with_name("packages") / "memory-kd" / "memory_kd" / "peer.toml"
    text = recipe.read_text(encoding="utf-8").replace("losses = { log-l1 = 1.0 }", f"losses = {{ {PEER} }}")
    config = load("peer", text)
    run = distill(config, out=tmp_path / "run").run
    assert not (run / "twin" / "stages").exists() and (run / FILE).is_file()
    assert "variant" not in json.dumps(RunFolder(run).manifest()["networks"])


def test_stopped_it_keeps_the_same_peer(installed: Path, tmp_path: Path) -> None:
    prototype = Prototype(recipe="peer", folder=tmp_path)
    run = prototype.stopped("student", "main", 3, dies=True)
    assert not (run / "stages").exists()
    go_on(run)
    assert FILE in trained(run) and not differing(prototype.whole, run)


@pytest.mark.parametrize(("networks", "told"), [
    (lambda self: {"peer": torch.nn.Identity()}, "no depth model"), (lambda self: {"a/b": self.network}, "no name"),
    (lambda self: 1 / 0, "ZeroDivisionError"),
])
def test_what_cannot_be_kept_is_refused_before_the_first_step(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, networks: Any, told: str
) -> None:
    monkeypatch.setattr(registry.load(registry.find("loss", "peer")), "networks", networks)
    with pytest.raises(PluginError, match=told):
        distill(one(PEER), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_two_of_one_file_are_refused(installed: Path, tmp_path: Path) -> None:
    losses = '"peer,network=[tiny,width=5]" = 1.0, "peer,as=peer-network-tiny-width-5" = 1.0'
    with pytest.raises(ConfigError, match="would keep two networks as"):
        distill(one(losses), out=tmp_path / "run")
