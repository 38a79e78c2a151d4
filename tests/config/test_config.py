from __future__ import annotations

from typing import Any

import pytest

from kdcli.config import RunConfig, dump, load, loss_weights
from kdcli.errors import ConfigError
from kdcli.plugins import registry
from kdcli.recipes import about, read

RECIPE = """
[run]
student = "mobilenet,width=0.5"
[defaults]
size = "64x96"
teachers = ["demo"]
[[stage]]
name = "fit"
train = "transform"
steps = 5
[[stage]]
name = "distill"
transform = "fitted"
losses = { l1 = 1, log-l1 = 0.5 }
steps = 10
[twin]
label = "plain"
transform = "none"
mixers = []
"""


def resolve(text: str = RECIPE, flags: dict[str, object] | None = None, settings: tuple[str, ...] = ()) -> RunConfig:
    return load("test", text, flags, settings)


def test_layers_win_in_order_and_say_so() -> None:
    config = resolve(flags={"steps": 20, "lr": 0.5}, settings=("distill.lr=0.25", "fit.batch-size=4"))
    fit, distill = config.stages
    assert (fit.steps, distill.steps) == (5, 20)  # --steps means the main stage
    assert distill.lr == 0.25
    assert (fit.batch_size, distill.batch_size) == (4, 16)
    assert distill.losses == (("l1", 1.0), ("log-l1", 0.5))
    assert config.origins["distill.steps"] == "flag"
    assert config.origins["distill.lr"] == "--set"
    assert config.origins["distill.size"] == "recipe"
    assert "distill.warmup" not in config.origins


def test_dump_repeats_the_run() -> None:
    config = resolve(flags={"steps": 20, "teachers": ('run:C:\\odd "name"',)}, settings=("run.export=none",))
    again = load("test", dump(config))
    assert again.stages == config.stages
    assert again.twin == config.twin
    assert (again.student, again.export, again.seed) == (config.student, None, config.seed)


def test_twin_differs_only_where_it_says() -> None:
    config = resolve()
    assert config.twin is not None
    (twin,) = config.twin.stages(config.stages)
    main = config.main
    assert twin.transform == "none"
    assert (twin.steps, twin.data, twin.batch_size, twin.name) == (main.steps, main.data, main.batch_size, main.name)


def test_a_transform_flag_takes_the_place_of_fitting() -> None:
    config = resolve(flags={"transform": "none"})
    assert [stage.name for stage in config.stages] == ["distill"]
    assert config.main.transform == "none"
    assert resolve(flags={"transform": "some.safetensors"}).main.transform == "some.safetensors"


def test_epochs_replace_steps() -> None:
    main = resolve(flags={"epochs": 3}).main
    assert (main.steps, main.epochs) == (None, 3)
    main = resolve(settings=("distill.epochs=2",)).main
    assert (main.steps, main.epochs) == (None, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run", "not TOML"),
        ("[run]\nstudent = 'x'", "no [[stage]]"),
        (RECIPE.replace("[twin]", "[twn]"), "Did you mean 'twin'"),
        (RECIPE.replace("losses", "lossses"), "Did you mean 'losses'"),
        (RECIPE.replace('size = "64x96"', 'size = "big"'), "HxW"),
        (RECIPE.replace("steps = 10", 'steps = "ten"'), "must be a whole number"),
        (RECIPE.replace("steps = 10", "steps = 0"), "at least 1"),
        (RECIPE.replace("steps = 10", "steps = 10\nepochs = 2"), "either steps or epochs"),
        (RECIPE.replace('train = "transform"', 'train = "teacher"'), "is not one of"),
        (RECIPE.replace('train = "transform"', ""), "no earlier stage fits one"),
        (RECIPE.replace('name = "fit"', 'name = "distill"'), "different names"),
        (RECIPE.replace("{ l1 = 1, log-l1 = 0.5 }", "[1, 2]"), "table of loss = weight"),
        (RECIPE.replace('["demo"]', "[]"), "no teacher"),
        (RECIPE.replace('name = "distill"', 'name = "distill"\nlr = 0'), "above 0"),
        (RECIPE.replace('name = "distill"', 'name = "distill"\nema = 2'), "0..1"),
        (RECIPE.replace('name = "distill"', 'name = "distill"\nema = 1'), "keeps the student as it began"),
    ],
)
def test_what_does_not_hold_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


AUGMENTED = (
    "distill.crop=48x64", "rotate=2.5", "gamma=[0.9, 1.1]", "colour=[0.9, 1]", "betas=[0.95, 0.99]", "decay-norms=true",
    "end_factor=4e-4", "eval_size=120x160",
)


def test_pairs_and_crops_are_read_and_dumped() -> None:
    config = resolve(settings=AUGMENTED)
    fit, main = config.stages
    assert (fit.crop, main.crop, main.seen, fit.seen) == (None, (48, 64), (48, 64), (64, 96))
    assert (main.gamma, main.colour, main.betas) == ((0.9, 1.1), (0.9, 1.0), (0.95, 0.99))
    assert config.eval_size == config.evaluated_at == (120, 160)
    again = load("test", dump(config))
    assert again.stages == config.stages and again.eval_size == (120, 160)
    assert resolve(settings=(*AUGMENTED, "crop=none", "eval_size=native")).evaluated_at is None
    assert resolve(settings=(*AUGMENTED, "crop=none")).main.crop is None
    plain = resolve()
    assert (plain.eval_size, plain.evaluated_at) == ("training", plain.main.size)
    assert load("test", dump(plain)).eval_size == "training"


def test_what_is_held_out_is_read_and_dumped() -> None:
    config = resolve(settings=("holdout=0.25", "holdout-by=folder"))
    assert (config.holdout, config.holdout_by) == (0.25, "folder")
    again = load("test", dump(config))
    assert (again.holdout, again.holdout_by) == (0.25, "folder")
    assert (resolve().holdout, resolve().holdout_by) == (0.0, "index")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("crop=65x96", "crop=65x96 of stage 'fit' is larger than size=64x96"),
        ("crop=64x97", "larger than size"),
        ("crop=16x64", "below 32 pixels"),
        ("crop=big", "HxW"),
        ("rotate=181", "0..180"),
        ("rotate=-1", "0..180"),
        ("rotate_probability=1.5", "0..1"),
        ("colour_probability=-0.1", "0..1"),
        ("gamma=1.1", "must be 2 numbers"),
        ("gamma=[0.9, 1.0, 1.1]", "must be 2 numbers"),
        ("gamma=[true, 1.1]", "must be 2 numbers"),
        ("brightness=[1.1, 0.9]", "the smaller first"),
        ("colour=[0, 1]", "above 0"),
        ("gamma=[1, inf]", "above 0"),
        ("betas=[0.9, 1.0]", "1 excluded"),
        ("start_factor=2", "share of lr"),
        ("end_factor=-1", "share of lr"),
        ("rotate_taught=false", "set teacher_cache or leave rotate_taught out"),
        ("eval_size=large", "HxW"),
        ("holdout=0.6", "holdout=0.6 must lie in 0..0.5"),
        ("holdout=-0.1", "must lie in 0..0.5"),
        ("holdout=many", "must be a number"),
        ("holdout_by=scene", "is not one of index, folder"),
    ],
)
def test_augmentation_and_schedule_have_ranges(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(settings=(setting,))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reduced_images_are_none_that_a_folder_of_depth_knows() -> None:
    with pytest.raises(ConfigError, match=r"^reduce=true of stage 'fit': .* teacher_cache=memory, or leave reduce"):
        resolve(settings=("reduce=true", "teacher_cache=auto"))
    assert resolve(settings=("reduce=true", "teacher_cache=memory")).main.reduce
    assert not resolve().main.reduce


@pytest.mark.parametrize("setting", ["lr", "distil.lr=1", "distill.lrr=1", "run.sudent=x", "distill.steps=many"])
def test_a_wrong_setting_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError):
        resolve(settings=(setting,))


def test_loss_flags() -> None:
    assert loss_weights(None) is None
    assert loss_weights(["l1", "silog=0.5", "ssim,window=7=2"]) == (("l1", 1.0), ("silog", 0.5), ("ssim,window=7", 2.0))
    with pytest.raises(ConfigError, match="no number"):
        loss_weights(["l1=much"])


def test_every_shipped_recipe_resolves() -> None:
    recipes = [plugin for plugin in registry.discover() if plugin.kind == "recipe" and plugin.built_in]
    assert recipes
    for plugin in recipes:
        assert about(plugin) and not about(plugin).startswith("broken")
        config = load(*read(plugin.name), alone=True)
        assert load(plugin.name, dump(config)).stages == config.stages


def test_an_unknown_recipe() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read("./nowhere.toml")


def test_a_twin_freezes_what_the_run_does_unless_it_says_otherwise() -> None:
    text = """
[[stage]]
name = "one"
losses = { log-l1 = 1.0, "gradient,as=shape" = 1.0 }
steps = 2
freeze = ["student.head", "shape"]
[twin]
losses = { log-l1 = 1.0 }
"""
    frozen = {
        more: load("x", text + more).twin.stages(load("x", text).stages)[0].freeze  # type: ignore[union-attr]
        for more in ("", "freeze = []", 'freeze = ["student.decoder"]')
    }
    assert list(frozen.values()) == [("student.head",), (), ("student.decoder",)]
    whole = load("x", text + "freeze = []")
    assert load("x", dump(whole)).twin == whole.twin


TWO = """
[[stage]]
name = "small"
student = "mobilenet,width=0.5"
teachers = ["demo"]
losses = { log-l1 = 1.0 }
steps = 2
[[stage]]
name = "main"
teachers = { small = "stage:small", large = "demo" }
losses = { "log-l1,teacher=large" = 1.0 }
steps = 2
[twin]
losses = { log-l1 = 1.0 }
teachers = ["large=demo"]
"""


@pytest.mark.parametrize(
    ("flags", "settings", "twin"),
    [
        ({}, (), "demo"),
        ({"teachers": ("run:other",)}, (), "run:other"),
        ({"teachers": ("large=run:other",)}, (), "run:other"),
        ({}, ("main.teachers=['small=stage:small','large=run:other']",), "run:other"),
    ],
)
def test_a_twin_learns_from_who_took_the_place_of_its_teacher(
    flags: dict[str, Any], settings: tuple[str, ...], twin: str
) -> None:
    config = load("x", TWO, flags, settings)
    assert config.twin is not None
    (alone,) = config.twin.stages(config.stages)
    assert alone.teachers == (f"large={twin}",)
    assert config.main.teachers == ("small=stage:small", f"large={twin}")
    assert load("x", dump(config)).twin == config.twin


def test_a_twin_has_all_teachers_that_came_where_they_are_more() -> None:
    config = load("x", TWO, {"teachers": ("a=demo", "large=run:other")})
    assert config.twin is not None and config.twin.teachers == ("a=demo", "large=run:other")
