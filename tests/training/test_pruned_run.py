"""A run whose student is what another one came to, pruned: its start, its twin, how it goes on, and its files."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcli.choosing import choose
from kdcli.choosing.pretrained import with_pretrained
from kdcli.config import RunConfig
from kdcli.errors import ConfigError, WeightsError
from kdcli.files import sha256_of
from kdcli.students.files import read_card
from kdcli.students.within import within
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill
from kdcli.training.run.progress import Silent
from kdcli.training.run.workshop import Workshop
from kdcli.weights import load_tensors

pytest.importorskip("torch_pruning", reason="needs the extra kdcli[pruning]")

Resolve = Callable[..., RunConfig]

TWIN = """
[run]
student = "pruned:[run:{run}],keep=0.6"
eval_data = "sim:rooms,count=4,seed=7"
export = "none"
[[stage]]
name = "train"
teachers = ["ground-truth"]
data = "sim:blocks,count=24"
size = "32x48"
batch_size = 4
losses = {{ l1 = 1.0 }}
steps = 4
lr = 1e-3
checkpoint_every = 2
log_every = 1
[twin]
label = "without the loss of gradients"
losses = {{ l1 = 0.5 }}
"""


class Stopped(Silent):
    """Asks to stop after a step of a variant, once."""

    def __init__(self, variant: str) -> None:
        self.variant, self.lines = variant, list[str]()

    def note(self, text: str) -> None:
        self.lines.append(text)

    def step(self, log: Any) -> None:
        if log.variant == self.variant and log.step == 3:
            self.variant = ""
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to begin from."""
    from kdcli.plugins import registry
    from kdcli.students.files import save_student
    from kdcli.training.seeds import seeded

    with seeded(3):
        student = registry.build("student", "mobilenet,width=0.35,max_depth=20")
    folder = tmp_path_factory.mktemp("begun")
    save_student(folder / "student.safetensors", student, "x", {"licence": "MIT", "training_data": "boxes"})
    return folder


@pytest.fixture
def config(begun: Path, tiny: Resolve) -> RunConfig:
    return tiny(text=TWIN.format(run=begun))


def test_it_goes_on_to_the_same_bits(config: RunConfig, begun: Path, tmp_path: Path) -> None:
    whole = distill(config, out=tmp_path / "whole").run
    for variant in ("student", "twin"):
        part = tmp_path / variant
        with pytest.raises(KeyboardInterrupt):
            distill(config, out=part, progress=Stopped(variant))
        distill(config, resume=part)
        for file in ("student.safetensors", "twin/student.safetensors"):
            mine, theirs = load_tensors(part / file), load_tensors(whole / file)
            assert mine.keys() == theirs.keys()
            assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    manifest, card = RunFolder.open(whole).manifest(), read_card(whole / "student.safetensors")
    [row] = manifest["begun_from"]
    assert row["sha256"] == sha256_of(begun / "student.safetensors") and row["spec"] == f"run:{begun}"
    assert card["begun_from"] == [row] and "MIT" in card["licence"]
    assert card["student"].startswith("pruned:[mobilenet,width=0.35,") and card["student"].endswith("],keep=0.6")
    assert card["depth_range"] == [0.1, 20.0] and card["pruned"]["of"] == f"run:{begun}"


def test_a_run_does_not_go_on_from_another_start(config: RunConfig, begun: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=tmp_path / "run", progress=Stopped("student"))
    file = begun / "student.safetensors"
    kept = file.read_bytes()
    try:
        from kdcli.students.files import save_student
        from kdcli.students.mobilenet import MobileNet

        save_student(file, MobileNet(width=0.35), "x", {})
        with pytest.raises(WeightsError, match="not the file that this run's student began with"):
            distill(config, resume=tmp_path / "run")
        file.unlink()
        with pytest.raises(WeightsError, match=r"holds no student\.safetensors"):
            distill(config, resume=tmp_path / "run")
    finally:
        file.write_bytes(kept)


def test_it_begins_at_the_depth_that_it_knows(config: RunConfig, tmp_path: Path) -> None:
    told = Stopped("")
    distill(config, out=tmp_path / "run", progress=told)
    assert not any(re.search("begins at .* the median", line) for line in told.lines)


def test_the_range_follows_the_teacher_as_any_students_does(tiny: Resolve) -> None:
    text = TWIN.format(run="x").replace("pruned:[run:x],keep=0.6", "pruned:[mobilenet,width=0.35|keep=0.6]")
    shop = Workshop(config=tiny(text=text.replace("ground-truth", "demo")), device=torch.device("cpu"))
    student, spec = shop.student()
    assert spec == "pruned:[mobilenet,width=0.35,max_depth=10|keep=0.6]" and student.depth_range == (0.1, 10.0)


def test_pretrained_weights_are_those_of_the_network_inside(tiny: Resolve) -> None:
    text = TWIN.format(run="x").replace("run:x", "mobilenet,width=0.35")
    chosen = choose(("r", text.replace("[run]", "[run]\npretrained = true", 1))).config
    inner = within(chosen.student)
    assert str(inner.whole(with_pretrained(inner.spec, inner.factory, chosen))) == (
        "pruned:[mobilenet,width=0.35,pretrained=true],keep=0.6"
    )
    with pytest.raises(ConfigError, match="has no pretrained encoder"):
        Workshop(config=tiny(text=TWIN.format(run="x"), pretrained=True), device=torch.device("cpu")).student()
