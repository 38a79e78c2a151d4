"""Sizes that depend on one another follow what somebody gave, and keys for other teachers and other images."""

from __future__ import annotations

from typing import Any

import pytest

from kdcli.config import RunConfig, load
from kdcli.config.follow import in_proportion
from kdcli.errors import ConfigError
from kdcli.recipes import read

RECIPE = """
[run]
student = "mobilenet"
eval_data = "kitti:here,split=test"
eval_size = "240x320"
[[stage]]
name = "first"
train = "transform"
steps = 2
size = "480x640"
crop = "416x544"
data = "kitti:here,split=train"
[[stage]]
name = "main"
steps = 9
size = "480x640"
crop = "416x544"
data = "kitti:here,split=train"
[other-data]
protocol = "kitti-garg"
losses = { l1 = 1.0 }
steps = 50
[other-teacher]
batch_size = 3
steps = 60
"""


def resolve(*settings: str, text: str = RECIPE, **flags: Any) -> RunConfig:
    return load("test", text, flags, settings)


def test_crop_and_eval_size_follow_size() -> None:
    config = resolve(size=(240, 320))
    assert [stage.crop for stage in config.stages] == [(192, 256), (192, 256)]
    assert config.eval_size == (128, 160)
    assert config.origins["main.crop"] == config.origins["run.eval_size"] == "follows size"
    assert config.reasons == (
        "crop 192x256 follows size", "crop 192x256 follows size", "eval_size 128x160 follows size",
    )  # fmt: skip
    one = resolve("main.size=240x320")
    assert [stage.crop for stage in one.stages] == [(416, 544), (192, 256)]
    assert resolve().main.crop == resolve(size=(480, 640)).main.crop == (416, 544)


def test_the_recipe_that_could_not_be_made_smaller() -> None:
    config = load(*read("tie-kd"), {"size": (96, 128)})
    assert (config.main.crop, config.eval_size, config.evaluated_at) == ((96, 64), "training", (96, 128))
    assert load(*read("tie-kd")).eval_size == "native"


def test_what_the_user_named_himself_stays_and_is_refused_where_it_does_not_fit() -> None:
    config = resolve("crop=64x64", "eval_size=native", size=(240, 320))
    assert (config.main.crop, config.eval_size) == ((64, 64), "native")
    with pytest.raises(ConfigError, match="crop=416x544 of stage 'first' is larger than size=240x320"):
        resolve("crop=416x544", size=(240, 320))
    with pytest.raises(ConfigError, match="larger than size"):
        resolve("crop=500x700")


@pytest.mark.parametrize(("part", "was", "now", "becomes"), [
    ((352, 704), (352, 1216), (96, 128), (96, 64)),
    ((416, 544), (480, 640), (960, 1280), (832, 1088)),
    ((416, 544), (480, 640), (33, 40), (32, 32)),
    ((480, 640), (480, 640), (100, 200), (100, 200)),
    ((470, 630), (480, 640), (100, 200), (96, 192)),
])  # fmt: skip
def test_proportions(part: Any, was: Any, now: Any, becomes: Any) -> None:
    assert in_proportion(part, was, now) == becomes


def test_held_out_images_follow_the_place_of_those_of_training() -> None:
    config = resolve(data="kitti:/there,crop=kb,depths=elsewhere")
    assert config.eval_data == "kitti:/there,split=test,depths=elsewhere"
    assert config.origins["run.eval_data"] == "follows data"
    assert resolve(data="kitti:/there", eval_data="none").eval_data is None
    assert resolve(data="kitti:here,split=train,count=3").eval_data == "kitti:here,split=test"
    assert resolve(data="rgbd:there").eval_data == "kitti:here,split=test"


def test_keys_for_other_teachers_and_other_images() -> None:
    plain = resolve()
    assert (plain.main.steps, plain.main.batch_size, plain.protocol) == (9, 16, "plain")
    other = resolve(data="rgbd:there")
    assert (other.main.steps, other.protocol, other.main.losses) == (50, "kitti-garg", (("l1", 1.0),))
    assert other.stages[0].steps == 2  # steps mean the main stage
    assert resolve(data="kitti:there").protocol == "plain"
    both = resolve(data="rgbd:there", teachers=("adabins",))
    assert (both.main.steps, both.main.batch_size, both.protocol) == (60, 3, "kitti-garg")
    assert resolve(data="rgbd:there", steps=5).main.steps == resolve("steps=5", data="rgbd:there").main.steps == 5


@pytest.mark.parametrize("teachers", [("demo",), ("named=demo",), ("ground-truth,max_depth=5",)])
def test_the_recipes_own_teacher_and_ground_truth_are_no_others(teachers: tuple[str, ...]) -> None:
    assert resolve(teachers=teachers).main.steps == 9
    assert resolve('teachers=["run:x"]').main.steps == 60


def test_such_tables_speak_of_one_stage_by_its_name() -> None:
    text = RECIPE.replace("batch_size = 3", "batch_size = 3\nfirst.steps = 70")
    first, main = resolve(text=text, teachers=("run:x",)).stages
    assert (first.steps, first.batch_size, main.steps) == (70, 3, 60)
    assert resolve(text=text).stages[0].steps == 2
    assert resolve("first.steps=8", text=text, teachers=("run:x",)).stages[0].steps == 8
    with pytest.raises(ConfigError, match=r"\[other-teacher\] of 'test'.*'frist'"):
        resolve(text=text.replace("first.steps = 70", "frist.steps = 70"))


@pytest.mark.parametrize("line", ["stepz = 3", 'name = "x"', 'lr = "many"', "first.stepz = 3", 'first.lr = "many"'])
def test_such_tables_are_checked_also_where_they_do_not_hold(line: str) -> None:
    with pytest.raises(ConfigError, match=r"\[other-teacher\] of 'test'"):
        resolve(text=RECIPE.replace("batch_size = 3", line))
    with pytest.raises(ConfigError, match="'other-data' is no table"):
        resolve(text="other-data = 3\n" + RECIPE.split("[other-data]")[0])


def test_auto_is_a_word_of_some_keys_only() -> None:
    with pytest.raises(ConfigError, match="lr"):
        resolve("lr=auto")
    with pytest.raises(ConfigError, match="size=auto of stage 'first' follows from teacher and images"):
        resolve("size=auto")
