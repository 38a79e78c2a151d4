"""A step of training, part by part, beside other loops."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from kdcli.benching import step_beside
from kdcli.benching.clock import Times
from kdcli.benching.step import bench_step
from kdcli.benching.step_beside import NETWORKS, PLAIN
from kdcli.benching.step_parts import PARTS, PartClock
from kdcli.benching.step_report import STEP, StepReport, loops_table, parts_table, remarks, title
from kdcli.cli.app import app
from kdcli.config import load
from kdcli.errors import KdcliError
from kdcli.testing import ToyDepth

TEXT = """
[run]
student = "mobilenet,width=0.35"
export = "none"
[[stage]]
name = "train"
data = "sim:blocks,count=8"
size = "32x48"
batch_size = 2
losses = { l1 = 1.0 }
mixers = ["object"]
steps = 100
"""


def test_each_moment_is_counted_to_the_innermost_part(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 4.0, 9.0, 9.0, 11.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    clock = PartClock(torch.device("cpu"))
    with clock.part("losses"), clock.part("teacher"):
        assert clock.running
    assert not clock.running
    with clock.part("losses"):
        pass
    clock.round(counts=True)
    assert clock.times["losses"].wall == [1 + 5 + 2] and clock.times["teacher"].wall == [3]
    clock.round(counts=True)
    assert len(clock.times["losses"].wall) == 1  # nothing was done in that round


@pytest.fixture(scope="module")
def report() -> StepReport:
    """Three rounds of a tiny recipe with a mixer and the bundled teacher."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_beside, "find_spec", lambda name: None)
        return bench_step(load("tiny", TEXT), rounds=3, warmup=1)


def test_parts_of_a_step_are_all_there_and_make_the_whole(report: StepReport) -> None:
    assert list(report.parts) == [name for name in PARTS if name != "transform"]
    assert list(report.loops) == [STEP, NETWORKS, PLAIN] and report.data[0] == "render"
    for number in range(3):
        whole = sum(times.wall[number] for name, times in report.parts.items() if name != "waiting")
        assert report.loops[STEP].wall[number] == pytest.approx(whole)
    assert all(min(report.parts[name].wall) > 0 for name in ("teacher", "student forward", "backward", "mix"))
    # The same networks run in all loops: the teacher of the others is not counted to the step's.
    assert sum(report.parts["teacher"].processor) < sum(report.loops[NETWORKS].processor)
    assert 0 < report.waiting < 1 and report.memory_mib > 50
    assert step_beside.WITHOUT in report.notes


def test_ratios_come_first_and_are_of_rounds(report: StepReport) -> None:
    document = report.document()
    assert next(iter(document)) == "ratios" and set(document["ratios"]) == {NETWORKS, PLAIN}
    assert document["loops"][STEP]["images_per_second"] == pytest.approx(
        2 / sorted(report.loops[STEP].wall)[1]
    )
    columns, rows = loops_table(report)
    assert len(columns) == len(rows[0]) and [row[0] for row in rows] == [STEP, NETWORKS, PLAIN]
    assert parts_table(report)[1][-1][0] == "(render, alone)"
    assert "32x48, 2 images" in title(report) and any("waiting for images" in line for line in remarks(report))


def test_a_ratio_is_the_steps_time_over_the_others(report: StepReport) -> None:
    loops = {STEP: Times(wall=[2.0, 3.0]), NETWORKS: Times(wall=[1.0, 2.0])}
    values: dict[str, Any] = {name: getattr(report, name) for name in report.__dataclass_fields__}
    found = StepReport(**{**values, "loops": loops}).ratio(NETWORKS)
    assert found is not None and found.median == 1.75


def test_where_depth_is_kept_only_the_other_loops_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_beside, "find_spec", lambda name: None)
    asked: list[int] = []
    teacher, image = ToyDepth().eval().requires_grad_(False), torch.rand(2, 3, 32, 48)
    teacher.register_forward_hook(lambda *_: asked.append(1))
    loops, notes = step_beside.beside(load("tiny", TEXT).main, ToyDepth(), teacher, kept=True)
    loops[NETWORKS](image)
    assert not asked and step_beside.KEPT in notes
    loops[PLAIN](image)
    assert asked == [1]


@pytest.mark.parametrize(
    ("given", "told"),
    [([], "there is nothing to measure"), (["student:mobilenet", "--recipe", "plain"], "does not go with --recipe"),
     (["--recipe", "plain", "--formats", "onnx"], "--formats does not go"),
     (["student:mobilenet", "--student", "mff"], "--student belongs to --recipe"),
     (["--recipe", "plian"], "plain")],
)
def test_models_and_recipes_are_kept_apart(given: list[str], told: str) -> None:
    result = CliRunner().invoke(app, ["bench", *given])
    assert isinstance(result.exception, KdcliError) and told in str(result.exception)
