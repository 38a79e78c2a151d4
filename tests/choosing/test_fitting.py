"""What a chosen recipe has that does not fit is left out or replaced, and said; what the user names is not touched."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from trees import ROOM, StandIn, built, photos

from kdcli.choosing import Built, choose
from kdcli.config import RunConfig
from kdcli.types import DepthKind

MINE = {"teachers": ("mine",)}


def relative() -> Built:
    teacher = StandIn(None)
    teacher.depth_kind = DepthKind.AFFINE_DISPARITY
    return Built(teachers={"mine": teacher})


def with_norms(*, differentiable: bool = True) -> Built:
    teacher = StandIn(ROOM)
    teacher.norm = nn.BatchNorm2d(3)
    teacher.norm.running_mean = torch.ones(3)
    teacher.differentiable = differentiable
    return Built(teachers={"mine": teacher})


def told(config: RunConfig, words: str) -> bool:
    return any(words in reason for reason in config.reasons)


def test_a_teacher_without_statistics_is_distilled_without_a_transformation() -> None:
    for shelf in (built(), with_norms(differentiable=False)):
        config = choose("auto", MINE, built=shelf).config
        assert [stage.name for stage in config.stages] == ["distill"] and config.main.transform == "none"
        assert config.main.mixers and config.twin is not None and told(config, "without transformation network (")
    whole = choose("auto", MINE, built=with_norms()).config
    assert [stage.name for stage in whole.stages] == ["fit", "distill"] and not told(whole, "without")
    named = choose("data-free", MINE, built=built()).config  # refused when it is run, as whoever names it expects
    assert [stage.name for stage in named.stages] == ["fit", "distill"]


def test_without_mixer_and_transformation_there_is_no_twin() -> None:
    config = choose("auto", {**MINE, "data": "sim:noise,count=9"}, built=built()).config
    assert config.main.mixers == () and config.twin is None and told(config, "no twin")


def test_a_loss_for_whatever_the_teachers_numbers_mean(tmp_path: Path) -> None:
    data = {**MINE, "data": photos(tmp_path)}
    config = choose("auto", data, built=relative()).config
    names = [name for name, _ in config.main.losses]
    assert names[0] == "affine-invariant" and "log-l1" not in names
    assert told(config, "the teacher's depth is affine_disparity") and config.protocol == "plain"
    assert "log-l1" in dict(choose("auto", data, built=built()).config.main.losses)
    mine = choose("auto", {**data, "losses": (("silog", 1.0),)}, built=relative()).config
    assert mine.main.losses == (("silog", 1.0),)


@pytest.mark.parametrize("flags", [{"mixers": ("object",)}, {"transform": "some.safetensors"}])
def test_what_is_named_stays(flags: dict[str, object]) -> None:
    config = choose("auto", {**MINE, "data": "sim:noise,count=9", **flags}, built=built()).config
    assert config.twin is not None
    assert (config.main.mixers == ("object",)) is ("mixers" in flags)
    assert (config.main.transform == "some.safetensors") is ("transform" in flags)
