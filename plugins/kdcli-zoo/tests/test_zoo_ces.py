"""Curriculum expert selection: strata, pacing, one expert for each image, and a table that survives."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from kdcli_zoo import curriculum
from kdcli_zoo.ces import Ces, composed
from kdcli_zoo.curriculum import Table, limits, opened, stratum
from torch import Tensor, nn
from zoo_runs import small

import kdcli
from kdcli.errors import SpecError
from kdcli.testing import ToyDepth, check_loss, fake_context, toy_batch

NAMES = ("small", "middle", "large")


def experts(count: int = 3) -> dict[str, nn.Module]:
    return {NAMES[i]: ToyDepth(seed=10 + i) for i in range(count)}


def shown(ctx: Any) -> dict[str, list[int]]:
    """Note from here on how many images each expert is shown at a time."""
    seen: dict[str, list[int]] = {name: [] for name in ctx.teachers}
    for name, view in ctx.teachers.items():
        view.model.register_forward_pre_hook(lambda module, inputs, name=name: seen[name].append(len(inputs[0])))
    return seen


def known(ctx: Any, difficulties: Mapping[str, float]) -> None:
    ctx.state["difficulty"] = dict(difficulties)


def test_twelve_images_and_three_experts_are_four_each() -> None:
    values = [float(i) for i in (7, 3, 11, 0, 9, 2, 5, 1, 8, 10, 4, 6)]
    borders = limits(values, 3)
    strata = [stratum(value, borders) for value in values]
    assert [strata.count(k) for k in range(3)] == [4, 4, 4]
    ordered = [stratum(value, borders) for value in sorted(values)]
    assert all(a <= b for a, b in pairwise(ordered))
    assert limits([], 3) == [] and stratum(5.0, []) == 0
    assert [stratum(v, limits([1.0] * 6, 3)) for v in (0.9, 1.0)] == [0, 2]


def test_strata_come_in_one_after_the_other() -> None:
    found = [opened(progress, 3, 0.5) for progress in (0.0, 0.24, 0.25, 0.49, 0.5, 1.0)]
    assert found == [1, 1, 2, 2, 3, 3]
    assert [opened(progress, 1, 0.5) for progress in (0.0, 0.3, 0.9)] == [1, 1, 1]
    assert all(a <= b for a, b in pairwise(opened(step / 100, 5, 1.0) for step in range(101)))


def test_each_image_is_shown_to_exactly_one_expert() -> None:
    batch = toy_batch(batch=12, size=(16, 24))
    ctx = fake_context(batch=batch, teachers=experts(), progress=0.9)
    known(ctx, {name: float(i) for i, name in enumerate(batch.ids)})
    seen = shown(ctx)
    Ces().terms(ctx)
    assert seen == {name: [4] for name in NAMES}


def test_each_image_learns_from_its_own_expert() -> None:
    batch = toy_batch(batch=6, size=(16, 24))
    ctx = fake_context(batch=batch, teachers=experts(), progress=0.9)
    known(ctx, dict(zip(batch.ids, [5.0, 0.0, 3.0, 1.0, 4.0, 2.0], strict=True)))
    found = Ces().terms(ctx)
    plain = kdcli.build("loss", "log-l1")
    views = list(ctx.teachers.values())
    values = []
    for row, number in enumerate([2, 0, 1, 0, 2, 1]):
        depth, valid = ctx.target(views[number])
        values.append(plain(ctx.student.out.depth[row : row + 1], depth[row : row + 1], valid[row : row + 1]))
    torch.testing.assert_close(found["depth"], torch.stack(values).mean())


def test_one_expert_is_plain_distillation() -> None:
    ctx = fake_context(batch=toy_batch(batch=3))
    found = Ces().terms(ctx)
    for name, spec in (("depth", "log-l1"), ("gradient", "gradient")):
        torch.testing.assert_close(found[name], kdcli.build("loss", spec).terms(ctx)[spec], rtol=0, atol=0)


def test_images_that_are_too_hard_yet_have_the_last_expert_there_is_or_none() -> None:
    batch = toy_batch(batch=6, size=(16, 24))
    for later, wanted in (("expert", {"small": [2], "middle": [4], "large": []}), ("skip", {"small": [2], "middle": [2],
                                                                                            "large": []})):
        ctx = fake_context(batch=batch, teachers=experts(), progress=0.3)
        known(ctx, {name: float(i) for i, name in enumerate(batch.ids)})
        seen = shown(ctx)
        value = Ces(later=later).terms(ctx)["depth"]  # type: ignore[arg-type]
        assert seen == wanted and torch.isfinite(value) and value.requires_grad


def test_nobody_may_teach_at_all() -> None:
    batch = toy_batch(batch=2, size=(16, 24))
    ctx = fake_context(batch=batch, teachers=experts(2), progress=0.0)
    known(ctx, {"other": 0.0, **dict.fromkeys(batch.ids, 1.0)})
    seen = shown(ctx)
    found = Ces(later="skip").terms(ctx)
    assert seen == {"small": [], "middle": []} and found["depth"].item() == 0 and found["gradient"].item() == 0


def test_images_of_which_nothing_is_known_have_the_smallest_and_are_measured_on_the_way() -> None:
    batch = toy_batch(batch=6, size=(16, 24))
    ctx = fake_context(batch=batch, teachers=experts(), progress=0.9, epoch=0)
    seen = shown(ctx)
    Ces().terms(ctx)
    assert seen == {"small": [6], "middle": [], "large": []}
    ctx.epoch = 1
    Ces().terms(ctx)
    assert sum(len(times) for times in seen.values()) > 1
    table = ctx.state["difficulty"]
    depth, valid = ctx.target(ctx.teachers["small"])
    truth, labels = ctx.truth()
    for row, name in enumerate(batch.ids):
        both = valid[row] & labels[row]
        wanted = (depth[row][both].log() - truth[row][both].log()).abs().mean()
        assert table[name] == pytest.approx(float(wanted), rel=1e-5)


def test_a_pass_asks_the_smallest_alone_and_is_read_in_the_next_stage() -> None:
    batch = toy_batch(batch=6, size=(16, 24))
    first = fake_context(batch=batch, teachers=experts(), stage="difficulty")
    seen = shown(first)
    value = Ces(phase="difficulty").terms(first)["difficulty"]
    assert seen == {"small": [6], "middle": [], "large": []} and not value.requires_grad
    assert "difficulty" not in first.state
    main = fake_context(batch=batch, teachers=experts(), stage="distill", progress=0.9)
    main.state = first.state
    seen = shown(main)
    Ces().terms(main)
    assert main.state["difficulty"].keys() == set(batch.ids) and seen == {name: [2] for name in NAMES}


def test_without_labels_the_spread_of_the_experts_tells() -> None:
    batch = toy_batch(batch=4, labelled=False)
    ctx = fake_context(batch=batch, teachers=experts(), stage="difficulty")
    Ces(phase="difficulty", by="spread").terms(ctx)
    (_, values), = ctx.state["waiting"]
    logs = torch.stack([ctx.target(view)[0].log() for view in ctx.teachers.values()])
    torch.testing.assert_close(values, logs.std(0, correction=0).mean((1, 2, 3)))
    other = fake_context(batch=batch, teachers=experts(), stage="difficulty")
    Ces(phase="difficulty").terms(other)
    assert other.state["waiting"][0][1].isnan().all()
    other.stage = "main"
    assert not Table(other.state, "main", 0).known


def test_no_step_waits_for_the_device_within_a_round() -> None:
    ctx = fake_context(batch=toy_batch(batch=3), teachers=experts(2), progress=0.9)
    read = []
    real = Tensor.tolist

    def noted(values: Tensor) -> Any:
        read.append(values)
        return real(values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "tolist", noted)
        for epoch, times in ((0, 0), (0, 0), (1, 2), (1, 2)):
            ctx.epoch = epoch
            Table(ctx.state, "main", epoch).note(ctx.batch.ids, torch.ones(3))
            assert len(read) == times


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curriculum, "MOST", 5)
    state: MutableMapping[str, Any] = {}
    for step in range(4):
        Table(state, "main", step).note([f"{step}/{i}" for i in range(3)], torch.arange(3.0))
    assert len(Table(state, "main", 9).known) == 5


def test_what_was_chosen_comes_in_the_order_of_the_batch() -> None:
    ctx = fake_context(batch=toy_batch(batch=4, size=(16, 24)), teachers=experts())
    views = list(ctx.teachers.values())
    chosen = [2, None, 0, 2]
    depth, valid = composed(views, chosen, ctx.target, (8, 12))
    for row, number in enumerate(chosen):
        if number is None:
            assert not valid[row].any()
        else:
            torch.testing.assert_close(depth[row], ctx.target(views[number])[0][row])


@pytest.mark.parametrize(
    "options", [{}, {"pace": 1.0, "later": "skip"}, {"phase": "difficulty"}, {"depth": "berhu"},
                {"phase": "difficulty", "by": "spread"}],
)
def test_conforms(options: dict[str, Any]) -> None:
    report = check_loss(Ces, options=options)
    assert "training" in report.passed and ("terms" in report.passed) == ("phase" not in options)


def test_conforms_with_several_experts() -> None:
    report = check_loss(Ces, teachers=experts())
    assert "training" in report.passed and "duplicated batch" in report.passed


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pace": 0.0}, "pace=0 "), ({"pace": 1.5}, "pace=1.5 "), ({"depth": "rdd"}, "'rdd' is no loss of two")],
)
def test_values_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Ces(**options)


def test_the_recipe_measures_every_image_before_it_teaches(tmp_path: Path) -> None:
    config = small("ces", "run.export=none", "run.eval_data=none", "middle.epochs=1", "distill.steps=4")
    result = kdcli.distill(config, out=tmp_path / "run")
    rows = [json.loads(row) for row in (result.run / "metrics.jsonl").read_text("utf-8").splitlines()]
    main = [row for row in rows if row["stage"] == "distill"]
    assert {row["note/ces.known"] for row in main} == {8.0}
    assert [row["note/ces.strata"] for row in main] == [1.0, 2.0, 3.0, 3.0]
    assert [row["stage"] for row in rows if "term/ces.difficulty" in row] == ["middle"] * 2
    assert {path.name for path in (result.run / "stages").glob("*.safetensors")} == {
        "small.safetensors", "middle.safetensors",
    }


def test_labelled_in_part_the_others_have_no_difficulty() -> None:
    batch = replace(toy_batch(batch=4), labelled=torch.tensor([True, False, True, False]))
    ctx = fake_context(batch=batch, teachers=experts(), stage="difficulty")
    Ces(phase="difficulty").terms(ctx)
    assert Table(ctx.state, "main", 0).known.keys() == {batch.ids[0], batch.ids[2]}
