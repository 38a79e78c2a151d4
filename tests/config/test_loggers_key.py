"""The key ``loggers``: who is told of a run, which is no part of what the run does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcli.config import RunConfig, dump, load
from kdcli.errors import ConfigError
from kdcli.study.grid import Cell, Study, with_loggers
from kdcli.study.identity import differing, identity
from kdcli.study.overrides import flags_and_settings

TEXT = '[run]\n{}\n[[stage]]\nname = "s"\nsteps = 1\n'


def resolved(line: str = "", *settings: str, **flags: object) -> RunConfig:
    return load("r", TEXT.format(line), flags, settings)


@pytest.mark.parametrize(("config", "expected"), [
    (resolved(), ("auto",)),
    (resolved('loggers = "wandb,project=depth"'), ("wandb,project=depth",)),
    (resolved('loggers = ["auto", "mlflow"]'), ("auto", "mlflow")),
    (resolved('loggers = "none"'), ()), (resolved("loggers = []"), ()),
    (resolved("", "loggers=none"), ()), (resolved("", 'loggers=["wandb"]'), ("wandb",)),
    (resolved('loggers = "wandb"', loggers=("none",)), ()),
    (resolved('loggers = "wandb"', loggers=("tensorboard", "mlflow")), ("tensorboard", "mlflow")),
])
def test_it_is_a_list_of_specs_and_written_as_it_is_read(config: RunConfig, expected: tuple[str, ...]) -> None:
    assert config.loggers == expected
    assert load("again", dump(config)).loggers == expected


@pytest.mark.parametrize("value", ["3", "[1]", "true"])
def test_what_is_none_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="loggers must be a list of specs"):
        resolved(f"loggers = {value}")


def test_a_spec_that_does_not_parse_is_refused_before_anything_else() -> None:
    with pytest.raises(ConfigError, match="does not start with a plugin name"):
        resolved('loggers = [",x=1"]')


def test_a_run_does_the_same_whoever_is_told() -> None:
    one, two = resolved(), resolved('loggers = "wandb"')
    assert identity(one) == identity(two) and differing(one, two) == []
    assert differing(one, replace(two, student="x")) == ["student"]


def test_cells_of_a_study_are_the_same_with_other_loggers() -> None:
    cell = Cell(arm="a", count=None, seed=0, config=resolved(), key="k")
    study = Study(name="s", about="", metrics=(), reference="a", contrasts=(), eval_data="e", protocol="p", seeds=(0,),
                  counts=(), arms=(), cells=(cell,))
    told = with_loggers(study, ("mlflow",))
    assert told.cells[0].config.loggers == ("mlflow",) and told.cells[0].key == "k"
    assert flags_and_settings({"logger": "wandb"}, "arm")[0] == {"loggers": ("wandb",)}
