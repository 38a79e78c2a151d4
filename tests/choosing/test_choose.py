"""Recipes with values left open come out with plain numbers, each with its reason; what was said stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import ROOM, STREET, built, kitti, photos, rgbd

import kdcli
from kdcli.choosing import choose
from kdcli.config import RunConfig, dump, load
from kdcli.errors import ConfigError
from kdcli.plugins import registry
from kdcli.recipes import read
from kdcli.students.files import save_student
from kdcli.types import MadeFor

MINE = {"teachers": ("mine",)}


def said(config: RunConfig, *words: str) -> bool:
    return all(any(word in reason for reason in config.reasons) for word in words)


def test_no_images_but_a_teacher_of_ones_own() -> None:
    config = choose("auto", MINE, built=built()).config
    assert config.recipe == "data-free" and config.twin is not None
    for stage in (*config.stages, *choose("data-free", MINE, built=built()).config.stages):
        assert (stage.data, stage.size, stage.batch_size) == ("sim:interiors,count=3000", (64, 96), 16)
    assert config.main.steps is not None and config.main.steps >= 1000
    assert config.eval_data == "sim:interiors,count=128,seed=1000" and config.protocol == "plain+min0.1+max8"
    assert said(config, "a teacher of yours and no images", "size 64x96", "data sim:interiors", "evaluation on")
    assert config.origins["distill.size"] == config.origins["run.eval_data"] == "auto"


def test_what_the_teacher_names_is_taken() -> None:
    from dataclasses import replace

    named = replace(ROOM, transfer="sim:blocks,count=7", test="sim:rooms,count=3,seed=5")
    config = choose("auto", MINE, built=built(named)).config
    assert (config.main.data, config.eval_data) == ("sim:blocks,count=7", "sim:rooms,count=3,seed=5")


def test_a_run_as_teacher_tells_by_its_card(tmp_path: Path) -> None:
    student = registry.build("student", "mobilenet,width=0.35")
    path = tmp_path / "student.safetensors"
    card = MadeFor(train_size=(32, 48), domain="driving", near=0.1, far=10.0, test="sim:streets,count=4,seed=3")
    save_student(path, student, "mobilenet,width=0.35", {}, made_for=card)
    config = choose("auto", {"teachers": (f"run:{path}",)}).config
    assert (config.main.size, config.main.data) == ((32, 48), "sim:streets,count=3000")
    assert (config.eval_data, config.protocol) == (card.test, "plain+min0.1+max10")


@pytest.mark.parametrize("recipe", ["data-free", "plain", "kd-ood", "noise", "dfad"])
def test_a_named_recipe_follows_the_teacher_too_and_the_baselines_have_its_budget(recipe: str) -> None:
    config = choose(recipe, MINE, built=built()).config
    method = choose("data-free", MINE, built=built()).config
    for key in ("size", "batch_size", "steps", "lr", "losses"):
        assert getattr(config.main, key) == getattr(method.main, key), key
    assert (config.eval_data, config.protocol) == (method.eval_data, method.protocol)


def test_the_network_of_another_teacher_is_fitted_longer_and_wider() -> None:
    def fit(config: RunConfig) -> tuple[int | None, int]:
        return config.stages[0].steps, config.stages[0].network_width

    recipe = "data-free-plus"
    assert fit(load(*read(recipe))) == fit(choose("data-free", MINE, built=built()).config) == (60, 16)
    assert fit(choose(recipe, MINE, built=built()).config) == (240, 32)
    assert fit(choose(recipe, MINE, ("fit.steps=9",), built=built()).config) == (9, 32)


def test_a_driving_teacher_learns_in_streets() -> None:
    config = choose("auto", MINE, built=built(STREET, far=80.0)).config
    assert config.main.data == "sim:streets,count=3000" and config.main.size == (352, 704)
    assert (config.eval_data, config.protocol) == ("sim:streets,count=128,seed=1000", "plain+max80")


@pytest.mark.parametrize(("count", "measured", "share", "why"), [
    (10, None, 0.1, "10% of the images held out"),
    (10, "sim:rooms,count=3", 0.0, "accuracy is measured"),
    (9, None, 0.0, "too few images"),
])  # fmt: skip
def test_images_are_held_out_where_nothing_else_is_measured(
    tmp_path: Path, count: int, measured: str | None, share: float, why: str
) -> None:
    config = choose("auto", {**MINE, "data": photos(tmp_path, count), "eval_data": measured}, built=built()).config
    assert config.holdout == share and any(why in reason for reason in config.reasons)
    assert config.main.steps == 1000


@pytest.mark.parametrize(("count", "settings", "batch"), [
    (5, ["holdout=0.1"], 4), (3, ["holdout=0.5"], 2), (12, ["holdout=0.1"], 11), (5, [], 5),
])  # fmt: skip
def test_a_batch_holds_no_more_images_than_are_trained_on(
    tmp_path: Path, count: int, settings: list[str], batch: int
) -> None:
    config = choose("auto", {**MINE, "data": photos(tmp_path, count)}, settings, built=built()).config
    assert config.main.batch_size == batch


def test_every_flag_wins(tmp_path: Path) -> None:
    given = {
        "size": (96, 128), "batch_size": 2, "steps": 7, "eval_data": "sim:rooms,count=3", "protocol": "plain",
        "data": photos(tmp_path),
    }
    settings = ["crop=64x64", "eval_size=native", "holdout=0", "pretrained=false"]
    config = choose("auto", {**MINE, **given}, settings, built=built()).config
    assert {key: getattr(config.main, key) for key in ("size", "batch_size", "steps", "data")} == {
        key: given[key] for key in ("size", "batch_size", "steps", "data")
    }
    assert config.main.crop == (64, 64) and config.eval_size == "native"
    assert (config.eval_data, config.protocol) == ("sim:rooms,count=3", "plain")
    assert config.reasons == (f"'{given['data']}' are images without object ids",)


def test_epochs_win_over_steps_that_are_left_open(tmp_path: Path) -> None:
    config = choose("auto", {**MINE, "data": photos(tmp_path), "epochs": 3}, built=built()).config
    assert (config.main.steps, config.main.epochs) == (None, 3)


def test_a_resolved_run_repeats_itself_without_choosing_again(tmp_path: Path) -> None:
    config = choose("auto", {**MINE, "data": rgbd(tmp_path)}, built=built()).config
    again = load("again", dump(config))  # no teacher is built: there is none of that name
    assert again.stages == config.stages and again.evaluated_at == config.evaluated_at
    assert (again.eval_data, again.protocol, again.student) == (config.eval_data, config.protocol, config.student)
    assert choose(("again", dump(config))).config.reasons == ()


def test_what_is_left_open_needs_somebody_who_chooses() -> None:
    with pytest.raises(ConfigError, match=r"follows from teacher and images.*kdcli\.configure"):
        load(*read("own-images"))
    assert load(*read("own-images"), alone=True).main.size == (96, 128)


def test_a_teacher_that_says_nothing_is_taken_by_its_range(tmp_path: Path) -> None:
    config = choose("auto", {**MINE, "data": photos(tmp_path, 2, 60, 80)}, built=built(None)).config
    assert config.main.size == (60, 80) and said(config, "the images' own")
    config = choose("auto", {**MINE, "eval_data": "none"}, built=built(None)).config
    assert config.main.data.startswith("sim:interiors")


def test_frames_of_a_benchmark_are_used_as_its_authors_do(tmp_path: Path) -> None:
    data = kitti(tmp_path, count=4, height=375, width=1242)
    config = choose("auto", {**MINE, "data": data}, built=built(STREET, far=80.0)).config
    assert config.main.data == f"{data},stop=3,crop=kb" and config.eval_data == f"{data},start=3"
    assert (config.main.size, config.main.crop) == ((352, 1216), (352, 704))
    assert (config.eval_size, config.protocol) == ("native", "kitti-garg")


def test_supervised_on_images_that_reach_further_than_the_students_range(tmp_path: Path) -> None:
    near, far = rgbd(tmp_path / "a"), kitti(tmp_path / "b")
    assert choose("auto", {"data": near}).config.student == "mobilenet"
    config = choose("auto", {"data": far}).config
    assert config.student == "mobilenet,max_depth=80" and said(config, "range follows the images' depth")
    assert config.main.size == (36, 124) and config.eval_data == f"{far},start=4"
    assert choose("auto", {"data": far, "student": "mobilenet,max_depth=50"}).config.student == "mobilenet,max_depth=50"


def test_the_range_of_a_recipes_student_follows_a_teacher_that_was_named() -> None:
    recipe = {**MINE, "data": "sim:rooms,count=4"}
    config = choose("tie-kd", recipe, built=built(ROOM, far=8.0)).config
    assert config.student == "tie-kd,pretrained=true,max_depth=8" and config.main.losses == (("tie-kd", 1.0),)
    mine = {**recipe, "student": "tie-kd,dataset=kitti"}
    assert choose("tie-kd", mine, built=built(ROOM, far=8.0)).config.student == "tie-kd,dataset=kitti"
    assert choose("tie-kd", {}).config.student == "tie-kd,dataset=kitti,pretrained=true"


def test_the_options_of_the_command_from_python(tmp_path: Path) -> None:
    data = photos(tmp_path)
    config = kdcli.configure(
        teacher="demo", data=data, size="32x48", steps=3, loss={"l1": 1}, mixer="none", export="none", set=["lr=0.5"],
    )
    main = config.main
    assert (config.recipe, main.data, main.size, main.steps, main.lr) == ("own-images", data, (32, 48), 3, 0.5)
    assert (main.teachers, main.losses, main.mixers, config.export) == (("demo",), (("l1", 1.0),), ("none",), None)
    two = kdcli.configure("plain", teacher=["a=demo", "b=demo"], eval_data="none")
    assert two.main.teachers == ("a=demo", "b=demo") and two.eval_data is None
    with pytest.raises(ConfigError, match=r"no option 'techer'\. Did you mean 'teacher'"):
        kdcli.configure(techer="demo")
