"""What a search draws, at which budgets, and how one that makes no sense is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from search_runs import TUNED

from kdcli.errors import ConfigError
from kdcli.study import plan
from kdcli.study.ranges import Choices, Range, read_option
from kdcli.study.search import Search, ask


def asked(*replaced: tuple[str, str], **given: Any) -> Search:
    text = TUNED
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    return ask(text, source=Path("tuned.toml"), **given)


def test_ranges_as_they_are_typed_and_what_lies_in_them() -> None:
    assert read_option("lr=1e-4..3e-2,log") == ("lr", Range(low=1e-4, high=3e-2, log=True))
    assert read_option("loss=l1|log-l1|2") == ("loss", Choices(values=("l1", "log-l1", 2)))
    shares = [i / 1000 for i in range(1000)]
    whole = read_option("batch_size=2..5")[1]
    assert [sum(whole.at(share) == value for share in shares) for value in (2, 3, 4, 5)] == [250] * 4
    stepped = read_option("width=0.35..1.0,step=0.05")[1]
    assert stepped.count == 14 and {stepped.at(share) for share in shares} == {
        round(0.35 + 0.05 * i, 2) for i in range(14)
    }
    log = [read_option("lr=1e-4..1,log")[1].at(share) for share in shares]
    assert sum(value < 1e-2 for value in log) == 500 and min(log) == 1e-4 and max(log) <= 1
    near = {read_option("momentum=0.999..0.9999")[1].at(share) for share in shares}
    assert len(near) > 800 and min(near) == 0.999


def test_more_trials_are_more_of_the_same_and_another_seed_draws_others() -> None:
    few, many, other = asked(), asked(options={"trials": 27, "rungs": 1}), asked(seed=1)
    assert many.first[:4] == few.first and len(many.first) == 27
    assert few.first[0].name == "default" and few.first[0].values == {"lr": 0.5}
    assert len({trial.values["lr"] for trial in many.first}) == 27
    assert all(1e-4 <= trial.values["lr"] <= 1 for trial in many.first)
    assert not {t.values["lr"] for t in few.first[1:]} & {t.values["lr"] for t in other.first[1:]}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, [(2, 4, 2), (4, 2, 1)]),
        ({"trials": 8}, [(1, 8, 4), (2, 4, 2), (4, 2, 1)]),
        ({"trials": 10, "reduction": 3, "rungs": 1}, [(3, 10, 3)]),
    ],
)
def test_budgets_grow_as_settings_go(options: dict[str, int], told: list[tuple[int, int, int]]) -> None:
    search = asked(options=options)
    assert [(rung.budget, rung.trials, rung.keeps) for rung in search.rungs] == told and search.full == 8


def test_a_rung_is_a_study_of_its_own_on_images_and_a_seed_of_the_search(tmp_path: Path) -> None:
    search = asked()
    rung, last = search.rung_study(search.rungs[0], search.first), search.last_study(search.first[2:0:-1])
    assert {(c.config.eval_data, c.config.seed, c.config.main.steps) for c in rung.cells} == {
        ("sim:rooms,count=3,seed=9", 1, 2)
    }
    assert {c.config.eval_data for c in last.cells} == {"sim:rooms,count=3,seed=7"} and last.seeds == (0,)
    assert (rung.reference, last.reference) == ("default", "t02"), "without the file's values, the best"
    assert [c.config.main.lr for c in rung.cells] == [trial.values["lr"] for trial in search.first]
    again = plan(rung.text, source=tmp_path / "elsewhere.toml")
    assert [cell.key for cell in again.cells] == [cell.key for cell in rung.cells]


def test_keys_without_a_variable_and_epochs_and_an_arm_at_one_count() -> None:
    by_key = asked(ranges=["weight_decay=1e-6..1e-2,log"], settings=["lr=0.02"])
    cells = by_key.rung_study(by_key.rungs[0], by_key.first).cells
    recipes_own = plan(TUNED, source="tuned.toml").cells[0].config.main.weight_decay
    assert {cell.config.main.lr for cell in cells} == {0.02} and cells[0].config.main.weight_decay == recipes_own
    assert [cell.config.main.weight_decay for cell in cells[1:]] == [t.values["weight_decay"] for t in by_key.first[1:]]
    epochs = asked(('steps = "{steps}"', "epochs = 9"), ("steps = { default = 8 }\n", ""))
    assert (epochs.unit, epochs.full, [rung.budget for rung in epochs.rungs]) == ("epochs", 9, [2, 4])
    two = ("count=4", "count={count}"), ("seeds = [0]", "seeds = [0]\ncounts = [4, 8]")
    at_eight = asked(*two, only=["only@8"])
    assert [c.config.main.data for c in at_eight.last_study(at_eight.first[:1]).cells] == ["sim:blocks,count=8"]
    with pytest.raises(ConfigError, match="--only only@4 or only@8"):
        asked(*two)
    with pytest.raises(ConfigError, match="only@5: arm 'only' of study 'tuned' has the counts 4, 8"):
        asked(*two, only=["only@5"])


LR = "range = [1e-4, 1.0], log = true"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (LR, "range = [1.0, 1e-4]", ["variable 'lr'", "the lower one first", "[1.0, 0.0001]"]),
        (LR, "range = [0, 1], log = true", ["variable 'lr'", "above 0, not at 0"]),
        (LR, "range = [0.1, 1.0], step = 2", ["variable 'lr'", "step", "at most 0.9"]),
        (LR, "range = [0.1, 1.0], choices = [1, 2]", ["variable 'lr'", "both range and choices"]),
        (LR, "choices = [0.1]", ["variable 'lr'", "two values or more"]),
        (LR, "log = true", ["variable 'lr'", "'log' without a range"]),
        (LR, "rang = [1, 2]", ["variable 'lr'", "unknown key 'rang'", "'range'"]),
        (LR, "about2 = 1", ["unknown key"]),
        (f", {LR}", "", ["nothing to search", "--range"]),
        (LR, "choices = [0.1, 0.2]", ["hold 3 settings"]),
        (LR, "range = [-1.0, -0.5]", ["arm 'only'", "lr=-"]),
        ('lr = "{lr}"', "lr = 0.1", ["does not use {lr}"]),
        ("steps = { default = 8 }", "steps = { default = 8, range = [4, 8] }", ["'steps'", "rungs"]),
        ("steps = { default = 8 }", "steps = { default = 3 }", ["3 steps are too few for 2 rungs", "1 in 4"]),
        ('steps = "{steps}"', 'steps = 8, "distill.steps" = 8', ["'distill.steps'", "plain steps"]),
        ('lr = "{lr}"', 'lr = "{lr}", "distill.lr" = 0.1', ["lr of study 'tuned' change nothing"]),
        ('data = "sim:rooms,count=3,seed=9"', 'dat = "x"', ["[search]", "unknown key 'dat'", "'data'"]),
        ('data = "sim:rooms,count=3,seed=9"', "", ["--search-data", "sim:rooms,count=3,seed=8"]),
        ('count=3,seed=9"', 'count=5,seed=7"', ["has images of eval_data", "too good"]),
        ('seed=9"', 'seed=9"\nseeds = [0]', ["seeds of [search]", "[0]", "table's, 0"]),
        ('seed=9"', 'seed=9"\nseeds = 5', ["seeds of [search]", "whole numbers"]),
        ('seed=9"', 'seed=9"\nrungs = "2"', ["rungs '2'", "whole number"]),
        ('seed=9"', 'seed=9"\ndraws = "sobel"', ["'sobel'", "'sobol'"]),
        ('[[arm]]\nname = "only"', '[[arm]]\nname = "only"\n[[arm]]\nname = "b"', ["one arm", "only, b"]),
    ],
)
def test_refusals_are_one_line(old: str, new: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        search = asked((old, new))
        search.rung_study(search.rungs[0], search.first)
    text = str(caught.value)
    assert "\n" not in text and all(word in text for word in words), text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"options": {"trials": 2, "reduction": 3}}, ["2 trials with reduction 3"]),
        ({"options": {"reduction": 1}}, ["has reduction 1;", "at least 2"]),
        ({"options": {"rungs": 3}}, ["3 rungs", "none of 4", "at most 2"]),
        ({"ranges": ["lr"]}, ["--range 'lr'", "NAME=LOW..HIGH"]),
        ({"ranges": ["lr=1..x"]}, ["--range 'lr=1..x'", "two numbers"]),
        ({"ranges": ["lrr=1e-3..1e-2"]}, ["unknown key 'lrr'", "'lr'"]),
        ({"ranges": ["lr=1e-3..1e-2"], "settings": ["lr=1"]}, ["'lr' has both --set and --range"]),
        ({"settings": ["lr=1"]}, ["nothing to search"]),
        ({"only": ["onli"]}, ["no arm 'onli'", "'only'"]),
        ({"seeds": [2], "options": {"data": "sim:rooms,count=9,seed=7"}}, ["eval_data 'sim:rooms,count=3,seed=7'"]),
    ],
)
def test_calls_are_refused_in_one_line(given: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        search = asked(**given)
        search.rung_study(search.rungs[0], search.first)
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), caught.value


def test_without_search_a_range_is_a_variable_that_needs_a_value() -> None:
    assert plan(TUNED, source="tuned.toml").cells[0].config.main.lr == 0.5
    with pytest.raises(ConfigError, match=r"needs a value for lr .*give --set lr=\.\.\., or find one with --search"):
        plan(TUNED.replace("default = 0.5, ", ""), source="tuned.toml")


def test_tpe_without_optuna_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"optuna, which is not installed: pip install 'kdcli\[search\]'"):
        asked(options={"draws": "tpe"})


def test_tpe_goes_where_numbers_were_good() -> None:
    pytest.importorskip("optuna", reason="needs the extra kdcli[search]")
    from kdcli.study.search import tpe
    from kdcli.study.search.plan import trials_at

    spaces = {"lr": Range(low=1e-4, high=1.0, log=True), "loss": Choices(values=("l1", "log-l1"))}
    points = [((i + 0.5) / 12, (i % 2 + 0.5) / 2) for i in range(12)]
    told = [(trial, None if i == 11 else abs(i - 3.0)) for i, trial in enumerate(trials_at(spaces, points))]
    drawn = tpe.points(spaces, told, 8, 0, more=False)
    assert drawn == tpe.points(spaces, told, 8, 0, more=False) and len(set(drawn)) == 8
    assert sum(lr < 0.6 for lr, _ in drawn) >= 6
    few = {"loss": Choices(values=("a", "b", "c"))}
    (begun,) = trials_at(few, [(0.1,)])
    assert sorted(few["loss"].at(share) for (share,) in tpe.points(few, [(begun, 1.0)], 2, 0, more=True)) == ["b", "c"]
    assert json.dumps(drawn)
