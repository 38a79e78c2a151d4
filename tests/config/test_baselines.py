"""The baselines of data-free distillation have its budget; only what they learn from differs."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from kdcli.config import load
from kdcli.recipes import read
from kdcli.testing import check_recipe

FREE = ("name", "data", "teachers", "mixers", "transform")
BASELINES = {
    "kd-ood": ("sim:blocks,count=3000", "demo", ()),
    "noise": ("sim:noise,count=3000", "demo", ()),
    "dfad": ("sim:noise,count=16", "demo", ("dfad",)),
    "kd-target": ("sim:rooms,count=3000", "demo", ()),
    "supervised": ("sim:rooms,count=3000", "ground-truth", ()),
}


def test_what_goes_beyond_the_paper_changes_world_mixers_layers_and_losses_alone() -> None:
    check_recipe("data-free-plus")
    method, config = load(*read("data-free")), load(*read("data-free-plus"))
    for one, other in zip(method.stages, config.stages, strict=True):
        mine, theirs = asdict(one), asdict(other)
        changed = {key for key in mine if mine[key] != theirs[key]}
        assert changed == {"data", "mixers", "statistics_layers" if one.name == "fit" else "losses"}
    assert config.twin is not None and method.twin is not None
    twin, other_twin = config.twin.stages(config.stages)[-1], method.twin.stages(method.stages)[-1]
    assert replace(twin, data=other_twin.data) == other_twin  # plain distillation, each on its own images


@pytest.mark.parametrize("name", BASELINES)
def test_same_student_losses_and_budget(name: str) -> None:
    check_recipe(name)
    method, config = load(*read("data-free")), load(*read(name))
    (stage,) = config.stages
    assert (stage.data, stage.teachers[0], stage.mixers, stage.transform) == (*BASELINES[name], "none")
    assert len(stage.teachers) == 1 and config.twin is None
    kept = {key: value for key, value in asdict(stage).items() if key not in FREE}
    assert kept == {key: value for key, value in asdict(method.main).items() if key not in FREE}
    for key in ("student", "seed", "eval_data", "protocol", "align", "export"):
        assert getattr(config, key) == getattr(method, key), key
