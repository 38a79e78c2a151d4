"""Runs that show images far from the teacher more often: they go on, their twin sees the same, they tell which."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdcli.config import RunConfig, load
from kdcli.errors import ConfigError, WeightsError
from kdcli.training.batches.feed import Feed
from kdcli.training.loop.train import StepLog
from kdcli.training.run.dry_run import measure
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.progress import Silent
from kdcli.types import Batch
from kdcli.weights import load_state

RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "none"
export = "none"
[[stage]]
name = "main"
teachers = ["TEACHER"]
data = "sim:rooms,count=10"
size = "32x48"
batch_size = 4
sampling = "hard"
losses = { log-l1 = 1.0 }
steps = 16
accumulate = 2
log_every = 1
checkpoint_every = 3
[twin]
label = "other loss"
losses = { l1 = 1.0 }
"""


class Heard(Silent):
    """Keeps what is said; asks the process to stop once a step of a variant is logged, as Ctrl-C does."""

    def __init__(self, variant: str = "", step: int = 0) -> None:
        self.notes: list[str] = []
        self._at = (variant, step)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def step(self, log: StepLog) -> None:
        if (log.variant, log.step) == self._at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def recipe(teacher_file: Path) -> Callable[..., RunConfig]:
    def resolve(*settings: str, **flags: Any) -> RunConfig:
        return load("tiny", RECIPE.replace("TEACHER", f"run:{teacher_file}"), flags, settings)

    return resolve


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Ids of the images of all batches that a feed gives while the test runs."""
    seen: list[tuple[str, ...]] = []
    original = Feed.batches_of

    def batches_of(self: Feed, chosen: Iterable[Sequence[int]], images: int | None = None) -> Iterator[Batch]:
        for batch in original(self, chosen, images):
            seen.append(batch.ids)
            yield batch

    monkeypatch.setattr(Feed, "batches_of", batches_of)
    return seen


def photos(folder: Path) -> str:
    generator = np.random.default_rng(5)
    folder.mkdir()
    for i in range(10):
        Image.fromarray(generator.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(folder / f"{i:02}.png")
    return f"folder:{folder}"


def trained(batches: list[tuple[str, ...]], variants: int) -> list[list[tuple[str, ...]]]:
    """Return the batches of the steps of each variant, without those that are looked at before a stage begins."""
    steps = 32
    return [batches[len(batches) - 1 - (variants - i) * steps - (variants - 1 - i):][:steps] for i in range(variants)]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return {name: value for part in ("", "twin/") for name, value in (
        (part + key, value) for key, value in load_state(path / f"{part}student.safetensors").items()
    )}  # fmt: skip


@pytest.mark.parametrize(
    ("at", "source"), [(("student", 11), "rendered"), (("student", 2), "files"), (("twin", 7), "files")]
)
def test_a_run_goes_on_to_the_same_last_bit_and_its_twin_sees_the_same(
    recipe: Callable[..., RunConfig], tmp_path: Path, at: tuple[str, int], source: str, fed: list[tuple[str, ...]]
) -> None:
    data = "sim:rooms,count=10" if source == "rendered" else photos(tmp_path / "photos")
    config = recipe("workers=1", data=data)
    distill(config, out=tmp_path / "whole")
    run, twin = trained(fed, 2)
    assert run == twin and len(run) == 32 and len({name for ids in run for name in ids}) == 10
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=tmp_path / "split", progress=Heard(*at))
    distill(resumable(tmp_path / "split"), resume=tmp_path / "split")
    one, two = tensors(tmp_path / "whole"), tensors(tmp_path / "split")
    assert one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())
    whole, split = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "split")
    assert whole.manifest()["hard_images"] == split.manifest()["hard_images"]
    kept = [[{k: v for k, v in row.items() if k != "images_per_second"} for row in r.metrics()] for r in (whole, split)]
    assert kept[0] == kept[1] and "note/sampling.far" in kept[0][15] and "note/sampling.far" not in kept[0][16]
    assert not (tmp_path / "split" / "checkpoints").exists()


def test_manifest_and_report_name_the_farthest(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    heard = Heard()
    distill(recipe(), out=tmp_path / "run", progress=heard)
    told = RunFolder(tmp_path / "run").manifest()["hard_images"]["main"]
    assert told["images"] == 10 and len({row["id"] for row in told["hardest"]}) == 10
    assert sum(row["shown"] for row in told["hardest"]) == 16 * 2 * 4
    shown = sorted(row["shown"] for row in told["hardest"])
    assert told["shown"] == [shown[0], shown[4], shown[-1]] and all(row["distance"] > 0 for row in told["hardest"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Images that the student finds hard" in page
    assert [page.index(row["id"]) for row in told["hardest"]] == sorted(page.index(r["id"]) for r in told["hardest"])
    assert any("up to 2 times as often as the others, in 10.7 rounds" in note for note in heard.notes)
    assert any(f"farthest from the teacher: {told['hardest'][0]['id']} (" in note for note in heard.notes)


def test_an_even_run_tells_nothing(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    distill(recipe("sampling=even", "steps=2"), out=tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert "hard_images" not in run.manifest() and "finds hard" not in (run.path / "report.html").read_text()
    assert not any(key.startswith("note/sampling") for row in run.metrics() for key in row)


def test_few_rounds_are_said_to_be_few(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    heard = Heard()
    distill(recipe("steps=2"), out=tmp_path / "run", progress=heard)
    assert any(note.endswith("in 1.3 rounds: too few to tell far ones from others") for note in heard.notes)


@pytest.mark.parametrize("setting", ["teacher_cache", "memory", "holdout"])
def test_with_kept_depth_and_without_held_out_images(
    recipe: Callable[..., RunConfig], tmp_path: Path, setting: str, fed: list[tuple[str, ...]]
) -> None:
    data = photos(tmp_path / "photos")
    given = [f'teacher_cache="{tmp_path / "cache"}"'] if setting == "teacher_cache" else []
    given += ["teacher_cache=memory", "keep_images=true", "workers=1"] if setting == "memory" else []
    config = recipe(*given, data=data, **({"holdout": 0.2} if setting == "holdout" else {}))
    distill(config, out=tmp_path / "run")
    manifest = RunFolder(tmp_path / "run").manifest()
    number = 8 if setting == "holdout" else 10
    run, twin = trained(fed, 2)
    assert run == twin
    assert {row["id"] for row in manifest["hard_images"]["main"]["hardest"]} == {name for ids in run for name in ids}
    assert manifest["hard_images"]["main"]["images"] == number


def test_what_cannot_be_is_refused(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sampling=hard of stage 'main' .* endless; write count=N in its spec"):
        distill(recipe(data="sim:rooms"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"sampling.*'harder'"):
        recipe("sampling=harder")
    measure(recipe(), torch.device("cpu"))


def test_a_twin_whose_order_is_gone_is_told(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distill(recipe(), out=run, progress=Heard("twin", 4))
    (run / "checkpoints" / "main.order.pt").unlink()
    with pytest.raises(WeightsError, match=r"main\.order\.pt'; start the run anew"):
        distill(resumable(run), resume=run)


def test_a_checkpoint_of_an_even_run_is_not_gone_on_with(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distill(recipe("sampling=even"), out=run, progress=Heard("student", 4))
    config = run / "config.toml"
    config.write_text(config.read_text().replace('sampling = "even"', 'sampling = "hard"'))
    with pytest.raises(WeightsError, match=r"does not fit this run .*no distances"):
        distill(resumable(run), resume=run)
