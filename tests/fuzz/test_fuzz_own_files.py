"""Files that kdcli wrote itself, or reads as recipes and studies, damaged in seeded ways: one line, the right code."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mutations import ONLY, damaged, damaged_document, inputs, shown

from kdcli.config import load
from kdcli.study import plan
from kdcli.study.run import run_study
from kdcli.training.loop.train import StepLog
from kdcli.training.run.job import distill
from kdcli.training.run.progress import Silent

Judge = Callable[..., int]

RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "sim:rooms,count=3,seed=7"
export = "none"
[defaults]
size = "32x64"
[[stage]]
name = "train"
teachers = ["ground-truth"]
data = "sim:blocks,count=8"
batch_size = 2
losses = { l1 = 1.0 }
gamma = [0.9, 1.1]
steps = 3
checkpoint_every = 1
log_every = 1
"""
STUDY = """
[study]
name = "tiny"
metrics = ["delta1"]
eval_data = "sim:rooms,count=3,seed=7"
seeds = [0]
contrasts = [["plain", "other"]]
set = { teacher = "{teacher}", student = "mobilenet,width=0.35", size = "32x64", batch_size = 2, steps = 1, data = "sim:blocks,count=8" }
[variables]
teacher = { about = "SPEC", default = "ground-truth" }
[[arm]]
name = "plain"
recipe = "supervised"
[[arm]]
name = "other"
recipe = "supervised"
set = { lr = 0.01 }
"""  # noqa: E501


class Stop(Silent):
    """Stops a run at its second step."""

    def step(self, log: StepLog) -> None:
        if log.step == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs, one of them stopped, and a study, all as they should be."""
    base = tmp_path_factory.mktemp("made")
    config = load("tiny.toml", RECIPE)
    (base / "tiny.toml").write_text(RECIPE)
    distill(config, out=base / "runs" / "one")
    shutil.copytree(base / "runs" / "one", base / "runs" / "two")
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=base / "stopped", progress=Stop())
    (base / "study.toml").write_text(STUDY)
    run_study(plan(STUDY, source=base / "study.toml"), base / "studies" / "tiny")
    return base


CASES: dict[str, tuple[str, str, int, list[list[str]]]] = {
    "manifest": ("runs/one/manifest.json", "json", 7, [
        ["runs", "list"], ["runs", "list", "--json"], ["runs", "show", "runs/one"],
        ["runs", "compare", "runs/two", "runs/one"], ["eval", "runs/one", "--data", "sim:rooms,count=1"],
    ]),
    "config": ("runs/one/config.toml", "toml", 10, [["runs", "show", "runs/one"], ["distill", "--resume", "runs/one"]]),
    "results": ("runs/one/eval/per_image.csv", "bytes", 8, [["runs", "compare", "runs/one", "runs/two"]]),
    "log": ("runs/one/metrics.jsonl", "jsonl", 4, [["runs", "compare", "runs/one", "runs/two", "--plot", "p.png"]]),
    "recipe": ("tiny.toml", "toml", 16, [["recipes", "show", "./tiny.toml"],
                                         ["distill", "--recipe", "./tiny.toml", "--dry-run"]]),
    "resumed-manifest": ("stopped/manifest.json", "json", 3, [["distill", "--resume", "stopped"]]),
    "resumed-log": ("stopped/metrics.jsonl", "jsonl", 2, [["distill", "--resume", "stopped"]]),
    "checkpoint": ("stopped/checkpoints/state.pt", "bytes", 4, [["distill", "--resume", "stopped"]]),
    "lock": ("stopped/.kdcli.lock", "bytes", 1, [["distill", "--resume", "stopped"]]),
    "study": ("study.toml", "toml", 20, [["study", "study.toml", "--dry-run"]]),
    "study.json": ("studies/tiny/study.json", "json", 6, [["study", "study.toml"]]),
    "cell": ("studies/tiny/cells/plain/seed0/manifest.json", "json", 8, [["study", "study.toml"]]),
    "cell-results": ("studies/tiny/cells/plain/seed0/eval/results.json", "json", 6, [["study", "study.toml"]]),
    "cell-images": ("studies/tiny/cells/plain/seed0/eval/per_image.csv", "bytes", 5, [["study", "study.toml"]]),
    "teachers": ("studies/tiny/teachers/*/results.json", "json", 6, [["study", "study.toml"]]),
}  # fmt: skip


FORGIVEN = ("lock", "study.json")
"""Written anew by whoever comes next."""


@pytest.mark.parametrize("name", CASES)
def test_damaged_files_of_runs_and_studies(judge: Judge, folder: Path, made: Path, name: str) -> None:
    place, form, number, commands = CASES[name]
    failed = 0
    for what, draw in inputs(name, number):
        shutil.copytree(made, folder, dirs_exist_ok=True)
        for path in folder.glob(place) if "*" in place else [folder / place]:
            content = path.read_bytes() if path.exists() else b'{"pid": 1}'
            bad = damaged(content, draw) if form == "bytes" else damaged_document(content, draw, form)
            path.write_bytes(bad)
        for command in commands:
            failed += judge(f"{what}: {shown(bad)}", *command, "--quiet", writes=("studies",)) > 0
    if not failed and name not in FORGIVEN and not ONLY:  # few damages may all be harmless; this one is not
        shutil.copytree(made, folder, dirs_exist_ok=True)
        for path in folder.glob(place):
            path.write_bytes(b"\x00 no document\n" * 3)
        for command in commands:
            failed += judge(f"{name}, wholly damaged", *command, "--quiet", writes=("studies",)) > 0
    assert failed or name in FORGIVEN or ONLY, "nothing was ever refused"


MIX = ["mix", "--data", "sim:blocks,count=4", "--mixer", "cutmix", "--size", "32x32", "--count", "2", "--out", "set"]
SETS = {"manifest.json": 25, ".kdcli.lock": 5}
NOTES = {"kdcli": 15, "gt-kd": 15}


@pytest.mark.parametrize("file", SETS)
def test_damaged_files_of_mixed_sets(judge: Judge, folder: Path, file: str) -> None:
    assert judge("as it is", *MIX) == 0
    content = (folder / "set" / "manifest.json").read_bytes()
    for what, draw in inputs(file, SETS[file]):
        (folder / "set" / "manifest.json").write_bytes(content)
        bad = damaged_document(content, draw, "json")
        (folder / "set" / file).write_bytes(bad)
        judge(f"{what}: {shown(bad)}", *MIX)


@pytest.mark.parametrize("layout", NOTES)
def test_damaged_notes_of_caches(judge: Judge, folder: Path, made: Path, layout: str) -> None:
    call = ["cache", "--teacher", f"run:{made}/runs/one", "--data", "sim:blocks,count=2,size=32x64", "--out", "maps",
            "--layout", layout, *(["--max-depth", "80"] if layout == "gt-kd" else [])]  # fmt: skip
    assert judge("as it is", *call) == 0
    note = folder / "maps" / ("manifest.json" if layout == "kdcli" else "kdcli.json")
    content = note.read_bytes()
    for number, (what, draw) in enumerate(inputs(layout, NOTES[layout])):
        bad = damaged_document(content, draw, "json")
        note.write_bytes(bad)
        judge(f"{what}: {shown(bad)}", *call, *(["--verify"] if number % 2 else []))


INPUTS = sum(case[2] for case in CASES.values()) + sum(SETS.values()) + sum(NOTES.values())
