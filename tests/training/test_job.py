from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import kdcli
from kdcli.config import RunConfig, dump, load
from kdcli.errors import ConfigError, DataError, TrainingError, WeightsError
from kdcli.files import write_text
from kdcli.report.picture import GAP, PANEL
from kdcli.training.loop import checkpoint
from kdcli.training.loop import train as loop
from kdcli.training.loop.train import StepLog
from kdcli.training.run.compare import compare_runs, report_runs
from kdcli.training.run.dry_run import measure
from kdcli.training.run.folder import RunFolder, new_path
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.listing import list_runs
from kdcli.training.run.progress import Silent
from kdcli.weights import load_state

Resolve = Callable[..., RunConfig]

DATA_FREE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "sim:rooms,count=4,seed=7"
[defaults]
teachers = ["TEACHER"]
data = "sim:blocks,count=16"
size = "32x48"
batch_size = 4
mixers = ["object"]
[[stage]]
name = "fit"
train = "transform"
steps = 2
[[stage]]
name = "distill"
transform = "fitted"
losses = { log-l1 = 1.0 }
steps = 3
[twin]
label = "plain"
mixers = []
transform = "none"
"""


class StopAt(Silent):
    """Asks the process to stop once a step is logged, as Ctrl-C does."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self._step, self._number = step, number
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def step(self, log: StepLog) -> None:
        if log.step == self._step:
            os.kill(os.getpid(), self._number)


def tensors(path: Path) -> dict[str, Tensor]:
    return load_state(path / "student.safetensors")


def same(one: Path, two: Path) -> bool:
    first, second = tensors(one), tensors(two)
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_an_interrupted_run_goes_on_to_the_same_last_bit(tiny: Resolve, tmp_path: Path, number: int) -> None:
    config = tiny("accumulate=2", "jitter=0.2")
    distill(config, out=tmp_path / "whole")
    stop = StopAt(3, number)
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=tmp_path / "split", progress=stop)
    run = RunFolder(tmp_path / "split")
    kept = f"kept in '{run.path}': student, stage '{config.main.name}', 3 of 6 steps"
    assert stop.notes[-1] == f"{kept}; go on with: kdcli distill --resume {run.path}"
    assert run.manifest()["state"] == "interrupted"
    assert run.state.is_file() and not run.student.exists()
    result = distill(resumable(run.path), resume=run.path)
    assert same(tmp_path / "whole", run.path)
    assert [row["step"] for row in run.metrics()] == [1, 2, 3, 4, 5, 6]
    assert result.steps == 6 and run.manifest()["state"] == "finished"
    with pytest.raises(ConfigError, match="is finished"):
        resumable(run.path)


@pytest.mark.slow
def test_a_killed_run_goes_on(tiny: Resolve, tmp_path: Path) -> None:
    config = tiny(steps=40)
    recipe = tmp_path / "recipe.toml"
    write_text(recipe, dump(config))
    run = tmp_path / "run"
    command = [sys.executable, "-m", "kdcli", "distill", "--recipe", str(recipe), "--out", str(run), "--quiet"]
    # The same last bit takes the same number of threads: sums are split differently otherwise.
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)
    try:
        deadline = time.monotonic() + 600
        while (
            not (run / "checkpoints" / "state.pt").is_file() and time.monotonic() < deadline and process.poll() is None
        ):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finally:
        process.wait()
    assert process.returncode == -signal.SIGKILL, process.stderr.read() if process.stderr else ""
    distill(resumable(run), resume=run)
    distill(config, out=tmp_path / "whole")
    assert same(tmp_path / "whole", run)
    assert [row["step"] for row in RunFolder(run).metrics()] == list(range(1, 41))


@pytest.mark.slow
def test_data_free_with_twin_writes_everything(tiny: Resolve, tmp_path: Path, teacher_file: Path) -> None:
    config = tiny(text=DATA_FREE.replace("TEACHER", f"run:{teacher_file}"))
    result = distill(config, out=tmp_path / "run")
    run = tmp_path / "run"
    for name in (
        "config.toml",
        "manifest.json",
        "metrics.jsonl",
        "student.safetensors",
        "twin/student.safetensors",
        "transform.safetensors",
        "eval/results.json",
        "eval/per_image.csv",
        "picture.png",
        "images.png",
        "report.html",
        "student.onnx",
    ):
        assert (run / name).stat().st_size > 0, name
    assert not (run / "checkpoints").exists() and not (run / ".kdcli.lock").exists()
    assert set(result.eval) == {"teacher", "student", "twin"}
    assert set(result.eval["student"]["paired"]) == {"teacher", "twin"}
    document = json.loads(json.dumps(result.document()))
    assert document["steps"] == 3 and document["eval"]["student"]["n"] == 4
    manifest = RunFolder(run).manifest()
    assert manifest["teachers"][0]["sha256"] and manifest["teachers"][0]["licence"] == "Apache-2.0"
    assert manifest["versions"]["kdcli"] == kdcli.__version__
    assert not same(run, run / "twin")
    model = kdcli.load_model(run)
    exported = kdcli.load_model(run / "student.onnx")
    image = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(model(image).depth, exported(image).depth, rtol=1e-3, atol=1e-3)
    assert [row["run"] for row in list_runs(tmp_path)] == [str(run)]
    rows = compare_runs([run, run])
    assert rows[1]["delta1_against_first"].startswith("+0.0000")
    assert rows[1]["delta1_paired"] == {"difference": 0, "ci95": [0, 0], "n": 4}
    report_runs([run, run], rows, tmp_path / "compared.html")
    assert f"is not told apart from {run.name} (delta1" in (tmp_path / "compared.html").read_text()


def test_a_run_that_ground_truth_taught_has_no_teacher_in_tables_and_pictures(tiny: Resolve, tmp_path: Path) -> None:
    result = distill(tiny('teachers=["ground-truth"]', "steps=2"), out=tmp_path / "run")
    assert "student" in result.eval and "teacher" not in result.eval
    page = (tmp_path / "run" / "report.html").read_text()
    body = page[page.index("<main>") :]
    first = body[: body.index("<h2>Worst ")]
    assert "teacher" not in first and "ground truth</figcaption>" in first
    with Image.open(tmp_path / "run" / "picture.png") as picture:
        models = len(result.eval)
        assert picture.width == (2 + models) * (PANEL + GAP) + GAP


def test_folders_may_be_texts(tiny: Resolve, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConfigError, match="already holds something else"):
        distill(tiny(), out=str(tmp_path))
    with pytest.raises(DataError, match="no run at"):
        distill(tiny(), resume=str(tmp_path / "none"))


def test_a_run_repeats_from_its_own_folder(tiny: Resolve, tmp_path: Path, teacher_file: Path) -> None:
    text = DATA_FREE.replace("TEACHER", f"run:{teacher_file}").replace("[defaults]", 'export = "none"\n[defaults]')
    one = distill(tiny(text=text), out=tmp_path / "one")
    again = load("again", (one.run / "config.toml").read_text())
    two = distill(again, out=tmp_path / "two")
    assert same(one.run, two.run) and same(one.run / "twin", two.run / "twin")


def test_a_loss_that_is_no_number_names_the_image(
    tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdcli.sources.sim import SimSource

    real = SimSource.batch

    def poisoned(self: SimSource, indices: Any, *rest: Any) -> Any:
        batch = real(self, indices, *rest)
        for position, index in enumerate(list(indices)):
            if int(index) == 5:
                batch.image[position] = float("nan")
        return batch

    monkeypatch.setattr(SimSource, "batch", poisoned)
    monkeypatch.setattr(
        "kdcli.training.batches.render_cache.RenderCache.batch",
        lambda self, source, i, size, device: source.batch(i, size, device),
    )
    with pytest.raises(TrainingError, match=r"blocks/0/5\b"):
        distill(tiny(eval_data="none"), out=tmp_path / "run")
    assert not (tmp_path / "run" / "student.safetensors").exists()


def test_refusals_come_before_anything_is_written(tiny: Resolve, tmp_path: Path, teacher_file: Path) -> None:
    out = tmp_path / "run"
    for flags, error in (
        ({"teachers": ("run:nowhere",)}, WeightsError),
        ({"losses": (("l1,weight=2", 1.0),)}, ConfigError),
        ({"mixers": ("object,chance=1",)}, ConfigError),
        ({"eval_data": "folder:nowhere"}, DataError),
        ({"transform": "nowhere.safetensors"}, WeightsError),
    ):
        with pytest.raises(error):
            distill(tiny(**flags), out=out)
        assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(ConfigError, match="something else"):
        distill(tiny(), out=out)
    with pytest.raises(DataError, match="no run"):
        distill(tiny(), resume=out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_a_broken_checkpoint_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with pytest.raises(WeightsError, match="no checkpoint"):
        checkpoint.read(path)
    path.write_bytes(b"\x80\x02junk")
    with pytest.raises(WeightsError, match="broken"):
        checkpoint.read(path)
    torch.save({"format": 99}, path)
    with pytest.raises(WeightsError, match="format"):
        checkpoint.read(path)


def test_a_dry_run_measures_and_writes_nothing(tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = measure(tiny(epochs=2), torch.device("cpu"))
    (stage,) = told["stages"]
    assert (stage["steps"], stage["steps_per_epoch"]) == (12, 6)
    assert stage["seconds_per_step"] > 0 and stage["memory_mib"] > 10
    assert stage["teacher_images"] == 0  # the data's own depth: no network is asked
    assert any(count > 100_000 for count in told["parameters"].values())
    assert not list(tmp_path.iterdir())


def test_a_dry_run_refuses_a_loss_that_is_no_number(tiny: Resolve) -> None:
    with pytest.raises(TrainingError, match="the loss of stage 'train' is not a number at step 1"):
        measure(tiny("train.losses={ l1 = 1e300 }"), torch.device("cpu"))


def test_run_paths_do_not_collide(tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = new_path(tiny())
    first.mkdir(parents=True)
    assert new_path(tiny()) != first or not first.exists()


def test_a_metrics_line_cut_short_is_left_out(tiny: Resolve, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", tiny(), {})
    log = StepLog(
        notes={},
        variant="student",
        stage="train",
        step=1,
        total=2,
        loss=1.0,
        terms={},
        lr=0.1,
        grad_norm=1.0,
        images_per_second=3.0,
    )
    run.log_step(log)
    with (run.path / "metrics.jsonl").open("a") as stream:
        stream.write('{"variant": "stu')
    assert len(run.metrics()) == 1
    assert loop.total_steps(tiny().main, None) == 6  # type: ignore[arg-type]
