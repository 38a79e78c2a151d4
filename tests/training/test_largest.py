"""The largest batch that fits: by trying, by what a few tries took, and written down as a number."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from kdcli import configure
from kdcli.choosing import choose
from kdcli.cli.app import app
from kdcli.config import RunConfig, load
from kdcli.errors import ConfigError
from kdcli.limits import memory
from kdcli.training.run import largest
from kdcli.training.run.trial import Trial

MIB = 2**20
RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "none"
export = "none"
[[stage]]
name = "train"
teachers = ["ground-truth"]
data = "sim:blocks,count=12"
size = "32x48"
batch_size = 4
losses = { l1 = 1.0 }
steps = "auto"
"""


class Known:
    """A device that has room for so many images."""

    def __init__(self, room: int) -> None:
        self.room, self.tried = room, list[int]()

    def fits(self, images: int) -> bool:
        self.tried.append(images)
        return images <= self.room

    def told(self, images: int) -> str:
        return str(images)


@pytest.mark.parametrize(("room", "least", "most", "found"), [
    (100, 1, 1024, 64), (5000, 1, 1024, 1024), (100, 1, 90, 90), (70, 1, 90, 64), (1, 1, 9, 1), (3, 1, 2, 2),
    (0, 1, 9, None), (100, 6, 1024, 96), (5, 6, 1024, None), (8, 1, 1, 1),
])  # fmt: skip
def test_it_is_doubled_while_it_fits(room: int, least: int, most: int, found: int | None) -> None:
    assert largest._doubled(Known(room), least, most) == found


def cpu(monkeypatch: pytest.MonkeyPatch, *, image: int, free: int, before: int = 0) -> tuple[largest._Cpu, list[int]]:
    """A CPU on which a step takes so many bytes an image, in a process that had held ``before`` once."""
    tried: list[int] = []
    monkeypatch.setattr(largest, "_works", lambda shop, stage, images: tried.append(images) or True)
    monkeypatch.setattr(largest, "_peak", lambda: max(500 * MIB + image * tried[-1], before))
    monkeypatch.setattr(largest, "_held", lambda: 400 * MIB)
    monkeypatch.setattr(largest, "keep_freed_memory", lambda: True)
    monkeypatch.setattr(memory, "free", lambda: free)
    shop: Any = SimpleNamespace()
    stage: Any = SimpleNamespace()
    return largest._Cpu(shop, [stage]), tried


def test_on_a_cpu_the_growth_of_a_few_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge, tried = cpu(monkeypatch, image=50 * MIB, free=8192 * MIB)
    assert largest._doubled(gauge, 1, 1024) == 64  # 100 + 64 x 50 MiB of half of 8 GiB; 128 would be 6.3
    assert tried == [2, 4, 8]
    assert gauge.told(64) == "a step takes about 3.2 of the 8 GiB that are free"


def test_a_peak_of_before_hides_small_batches_only(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge, tried = cpu(monkeypatch, image=10 * MIB, free=16384 * MIB, before=700 * MIB)
    assert largest._doubled(gauge, 1, 1024) == 512
    assert tried == [2, 4, 8, 16, 32, 64]


def test_what_may_not_fit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge, tried = cpu(monkeypatch, image=1000 * MIB, free=6000 * MIB)
    assert largest._doubled(gauge, 1, 1024) == 2
    assert tried == [2]  # 4 would be 4.2 of the 3 GiB that it may take, as far as one try can tell


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return "tiny.toml"


def narrow(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Let a step of more images than ``room`` find no memory, as a GPU says it."""
    step = Trial.step

    def tight(self: Trial, batch: Any, *counted: int) -> Any:
        if len(batch) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, batch, *counted)

    monkeypatch.setattr(Trial, "step", tight)


def test_a_run_writes_down_what_was_found(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch, 5)
    monkeypatch.setattr("kdcli.choosing.resolve.updates_for", lambda images, batch: 8 // batch)
    words = ["--batch-size", "auto", "--device", "cpu", "--out", "run", "--logger", "none"]
    done = CliRunner().invoke(app, ["distill", "--recipe", recipe, *words])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "looking for the largest batch that fits" in done.stderr
    assert re.search(r"batch of 4 \(a step takes about .* GiB that are free\)", done.stderr)
    assert "2 steps of 4 images" in done.stderr  # which follow from it
    text = Path("run/config.toml").read_text()
    assert "batch_size = 4  # auto" in text and load("again", text).main.batch_size == 4


def test_all_images_are_the_most(recipe: str) -> None:
    given = {"batch_size": "auto", "data": "sim:blocks,count=3"}
    found = choose(recipe, given, ["steps=1"], try_out=largest.largest_batch(torch.device("cpu"), str))
    assert found.config.main.batch_size == 3


def test_where_not_even_one_fits_it_is_said(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch, 0)
    try_out = largest.largest_batch(torch.device("cpu"), str)
    with pytest.raises(ConfigError, match=r"not even 1 image of 32x48 at a time fit .* use a smaller --size"):
        choose(recipe, {"batch_size": "auto"}, ["steps=1"], try_out=try_out)


def test_where_nothing_can_be_tried_it_is_refused(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"batch_size=largest of stage 'train' is tried out on the device"):
        configure(recipe, batch_size="auto")
    with pytest.raises(ConfigError, match="batch_size=largest"):
        load("tiny", RECIPE.replace('"auto"', "3"), {}, ["batch_size=largest"])
    assert load("tiny", RECIPE, {}, ["batch_size=largest"], alone=True).main.batch_size == 16
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="found by one process"):
        choose(recipe, {"batch_size": "auto"}, ["steps=1"], try_out=largest.largest_batch(torch.device("cpu"), str))


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", ""])
def test_a_batch_size_is_a_number_or_auto(recipe: str, text: str) -> None:
    done = CliRunner().invoke(app, ["distill", "--recipe", recipe, "--batch-size", text])
    assert done.exit_code == 2 and "neither a whole number from 1 on nor auto" in done.output


def test_a_run_without_memory_says_what_to_change(
    tiny: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdcli.errors import TrainingError
    from kdcli.training.loop.stepping import Stepping
    from kdcli.training.run.job import distill

    def none_left(*given: Any, **told: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(Stepping, "backward", none_left)
    with pytest.raises(TrainingError, match=(
        r"^out of memory in stage 'train' with 4 images of 32x48 at a time; begin anew with --batch-size 2 --set "
        r"accumulate=2 \(updates of as many images\), --batch-size auto, or a smaller --size$"
    )):
        distill(tiny(), out=tmp_path / "run", loggers=())
