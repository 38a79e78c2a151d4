"""A run that begins with a pretrained encoder: its twin and whoever goes on with it begin with the same, and say so."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from pretrained_files import as_file, weights_of

from kdcli.choosing import Choice, choose
from kdcli.errors import WeightsError
from kdcli.files import sha256_of
from kdcli.students.files import read_card
from kdcli.training.loop.train import StepLog
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.progress import Silent
from kdcli.weights import load_state

RECIPE = """
[run]
student = "mobilenet,width=0.5"
pretrained = "auto"
export = "none"
[[stage]]
name = "train"
teachers = ["ground-truth"]
data = "sim:blocks,count=8"
size = "32x48"
batch_size = 2
losses = { l1 = 1.0 }
steps = 2
lr = 1e-30
weight_decay = 0.0
checkpoint_every = 1
log_every = 1
[twin]
label = "other"
losses = { log-l1 = 1.0 }
"""
TAGGED = "mobilenetv2_050.lamb_in1k"
STEM = "backbone.conv_stem.weight"


class Noting(Silent):
    """Remembers what was said; does something once a variant's first step is logged."""

    def __init__(self, variant: str = "", then: Any = None) -> None:
        self.lines: list[str] = []
        self._variant, self._then = variant, then

    def note(self, text: str) -> None:
        self.lines.append(text)

    def step(self, log: StepLog) -> None:
        if log.variant == self._variant and log.step == 1:
            self._then()


@pytest.fixture
def file(no_weights: Path) -> Path:
    path = no_weights / f"{TAGGED}.safetensors"
    path.write_bytes(as_file(weights_of("mobilenetv2_050")))
    return path


def chosen(text: str = RECIPE) -> Choice:
    return choose(("r", text))


def stem(run: Path, variant: str = "") -> torch.Tensor:
    return load_state(run / variant / "student.safetensors")[STEM]


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_run_and_twin_begin_with_the_same_and_say_what_it_is(file: Path, tmp_path: Path) -> None:
    choice, sha256 = chosen(), sha256_of(file)
    began = weights_of("mobilenetv2_050")["conv_stem.weight"]
    told = Noting("student", file.unlink)  # gone before the twin begins
    distill(choice.config, out=tmp_path / "run", built=choice.built, progress=told)
    assert not file.exists()
    assert torch.equal(stem(tmp_path / "run"), began) and torch.equal(stem(tmp_path / "run", "twin"), began)
    manifest = RunFolder.open(tmp_path / "run").manifest()
    row = {
        "spec": f"encoder {TAGGED}", "name": TAGGED, "weights": str(file), "sha256": sha256, "licence": "Apache-2.0",
        "training_data": "ImageNet-1k",
    }
    assert manifest["begun_from"] == [row] and manifest["encoders"] == {TAGGED: sha256}
    assert manifest["choice"]["reasons"] == [f"encoder begins with {TAGGED}"]
    assert f"encoder {TAGGED}: licence Apache-2.0, trained on ImageNet-1k" in told.lines
    assert "pretrained = true  # auto" in (tmp_path / "run" / "config.toml").read_text()
    assert f"encoder {TAGGED}" in (tmp_path / "run" / "report.html").read_text()
    for variant in ("", "twin"):
        card = read_card(tmp_path / "run" / variant / "student.safetensors")
        assert card["begun_from"] == [row] and "Apache-2.0" in card["licence"] and "pretrained" not in card["student"]


@pytest.mark.parametrize("change", ["another file comes first", "the file is gone"])
def test_a_run_that_goes_on_keeps_to_its_encoder(file: Path, tmp_path: Path, change: str) -> None:
    choice = chosen()
    with pytest.raises(KeyboardInterrupt):
        distill(choice.config, out=tmp_path / "run", built=choice.built, progress=Noting("student", interrupt))
    config = resumable(tmp_path / "run")
    if change == "the file is gone":
        file.unlink()
        with pytest.raises(WeightsError, match="KDCLI_OFFLINE"):
            distill(config, resume=tmp_path / "run")
        return
    # Where torch keeps its own, it is looked for last; in our own folder lies another one now.
    old = Path(torch.hub.get_dir()) / "checkpoints" / "mobilenetv2_050-3d30d450.pth"
    old.parent.mkdir(parents=True)
    file.rename(old)
    file.write_bytes(as_file(weights_of("mobilenetv2_050", seed=4)))
    distill(config, resume=tmp_path / "run")
    began = weights_of("mobilenetv2_050")["conv_stem.weight"]
    assert torch.equal(stem(tmp_path / "run"), began) and torch.equal(stem(tmp_path / "run", "twin"), began)


def test_a_run_that_began_at_random_stays_so(no_weights: Path, tmp_path: Path) -> None:
    choice = chosen()
    with pytest.raises(KeyboardInterrupt):
        distill(choice.config, out=tmp_path / "run", built=choice.built, progress=Noting("twin", interrupt))
    (no_weights / f"{TAGGED}.safetensors").write_bytes(as_file(weights_of("mobilenetv2_050")))
    distill(resumable(tmp_path / "run"), resume=tmp_path / "run")
    manifest = RunFolder.open(tmp_path / "run").manifest()
    assert manifest["begun_from"] == [] and manifest["encoders"] == {}
    assert "pretrained = false  # auto" in (tmp_path / "run" / "config.toml").read_text()
    plain = chosen(RECIPE.replace('pretrained = "auto"', ""))
    distill(plain.config, out=tmp_path / "plain")
    for variant in ("", "twin"):
        one, two = (load_state(tmp_path / run / variant / "student.safetensors") for run in ("run", "plain"))
        assert one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())
