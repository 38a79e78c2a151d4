"""Which recipe ``auto`` is, by what was given of teacher and images."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import built, nyu, objects, photos, rgbd

from kdcli.choosing import choose
from kdcli.choosing.recipe import which
from kdcli.config import RunConfig, load
from kdcli.errors import ConfigError
from kdcli.recipes import read
from kdcli.study.identity import essence


@pytest.mark.parametrize("flags", [
    {}, {"teachers": ("demo",)}, {"steps": 5}, {"data": "sim:interiors,count=9"}, {"data": "auto"},
    {"teachers": ("demo",), "data": "sim:rooms,count=3"},
])  # fmt: skip
def test_the_bundled_teacher_without_images_is_the_embedded_default(flags: dict[str, object]) -> None:
    assert which(flags, (), built()).recipe == "data-free"


def test_no_option_is_the_embedded_default_to_the_last_key() -> None:
    chosen, plain = choose("auto").config, load(*read("data-free"))
    assert essence(chosen) == essence(plain) and chosen.origins == plain.origins
    assert chosen.reasons == ("no teacher and no images of yours are named",)
    assert (plain.main.size, plain.main.steps, plain.main.data) == ((64, 96), 400, "sim:blocks,count=3000")


def of(data: str | None, teacher: str | None, *settings: str) -> str:
    flags = {"data": data, "teachers": None if teacher is None else (teacher,)}
    return which({key: value for key, value in flags.items() if value is not None}, settings, built()).recipe


def test_what_is_given_decides(tmp_path: Path) -> None:
    plain, ids, deep = photos(tmp_path / "a"), objects(tmp_path / "b"), rgbd(tmp_path / "c")
    assert of(None, "mine") == of("sim:interiors,count=9", "mine") == "data-free"
    assert of(plain, "mine") == of(deep, "mine") == of(plain, "demo") == "own-images"
    assert of(ids, "mine") == of(ids, "demo") == "data-free"
    assert of(deep, None) == of(deep, "ground-truth") == of("sim:rooms,count=9", "ground-truth") == "supervised"
    # Settings say it as flags do.
    assert of(None, None, f"data={plain!r}".replace("'", '"'), 'teachers=["mine"]') == "own-images"


def test_images_alone_lack_a_teacher(tmp_path: Path) -> None:
    for data in (photos(tmp_path / "a"), objects(tmp_path / "b")):
        with pytest.raises(ConfigError, match="no teacher is named; give --teacher SPEC") as caught:
            choose("auto", {"data": data})
        assert "\n" not in str(caught.value)


def test_of_two_lists_that_for_training_is_taken(tmp_path: Path) -> None:
    data = nyu(tmp_path, split=True)
    config = choose("auto", {"data": data, "teachers": ("mine",)}, built=built()).config
    assert config.main.data == f"{data},split=train" and config.eval_data == f"{data},split=test"
    assert f"training on {data},split=train" in config.reasons


def mixers(config: RunConfig) -> list[tuple[str, ...]]:
    return [stage.mixers for stage in config.stages]


def test_a_mixer_that_lacks_something_is_left_out_unless_it_is_named() -> None:
    noise = {"data": "sim:noise,count=9"}
    config = choose("auto", noise).config
    assert config.recipe == "data-free" and mixers(config) == [(), ()]
    assert any("object,probability=0.5, which needs instance maps" in reason for reason in config.reasons)
    assert mixers(choose("auto", {**noise, "mixers": ("object",)}).config) == [("object",)] * 2
    assert mixers(choose("data-free", noise).config) == [("object,probability=0.5",)] * 2


def test_a_study_may_leave_it_open_too(tmp_path: Path) -> None:
    from kdcli.study.plan import plan

    text = f"""
    [study]
    eval_data = "sim:rooms,count=4"
    [study.set]
    teachers = ["demo"]
    data = "{photos(tmp_path)}"
    [[arm]]
    name = "chosen"
    recipe = "auto"
    """
    (cell,) = plan(text, source=tmp_path / "mini.toml").cells
    assert cell.config.recipe == "own-images" and cell.config.main.size == (64, 96)
