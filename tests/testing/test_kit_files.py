"""The kit on what is data: recipes of several stages, studies."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdcli.plugins.registry import discover
from kdcli.testing import ConformanceError, check_recipe, check_study

STAGES = """
[run]
student = "mobilenet"
eval_data = "none"
[defaults]
steps = 5
data = "sim:blocks,count=8"
[[stage]]
name = "aux"
student = "mobilenet,width=2"
teachers = ["demo"]
losses = { silog = 1.0 }
[[stage]]
name = "main"
teachers = { large = "demo", light = "stage:aux" }
losses = { "log-l1,teacher=large" = 1.0, "gradient,teacher=light,as=edges" = 0.5, "tie-kd,teacher=large|light" = 1.0, "tie-kd:dpm" = 0.2 }
[twin]
losses = { "log-l1,teacher=large" = 1.0 }
"""  # noqa: E501


def written(text: str, path: Path) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_of_several_stages_conforms(tmp_path: Path) -> None:
    report = check_recipe(written(STAGES, tmp_path / "stages.toml"))
    assert report.passed == ("resolves", "plugins", "round trip")
    (told,) = [check.detail for check in report.checks if check.name == "plugins"]
    assert set(told.split(", ")) >= {"demo", "gradient", "log-l1", "silog", "tie-kd", "mobilenet,width=2"}
    assert "stage:aux" not in told and "as=edges" not in told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('student = "mobilenet,width=2"', 'student = "mobilenet,widht=2"', "widht"),
        ('large = "demo"', 'large = "demmo"', "no teacher 'demmo'"),
        ("teacher=light,as=edges", "teacher=light,as=edges,scale=3", "scale"),
        ('"tie-kd:dpm"', '"tie-dk:dpm"', "no loss 'tie-dk'"),
        ('losses = { "log-l1,teacher=large" = 1.0 }', 'losses = { "log-l2,teacher=large" = 1.0 }', "no loss 'log-l2'"),
    ],
    ids=["network of a stage", "named teacher", "named loss", "weight of a term", "twin"],
)
def test_a_fault_in_a_stage_is_named(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert STAGES.count(old) == 1
    with pytest.raises(ConformanceError) as caught:
        check_recipe(written(STAGES.replace(old, new), tmp_path / "stages.toml"))
    (fault,) = caught.value.report.failed
    assert fault.name == "plugins" and told in fault.detail


STUDY = """
[study]
name = "mine"
eval_data = "sim:rooms,count=4,seed=7"
set = { data = "{images}", steps = 3 }
[variables]
images = { about = "source of the training images", default = "sim:blocks,count=8" }
[[arm]]
name = "plain"
recipe = "plain"
[[arm]]
name = "other"
recipe = "plain"
set = { losses = { l1 = 1.0 } }
"""


def test_a_study_conforms(tmp_path: Path) -> None:
    report = check_study(written(STUDY, tmp_path / "mine.toml"))
    assert report.passed == ("resolves", "plugins")
    resolved, named = (check.detail for check in report.checks)
    assert resolved == "2 runs of 2 arms" and {"l1", "gradient"} <= set(named.split(", "))


@pytest.mark.parametrize(
    ("old", "new", "check", "told"),
    [
        ("[study]", "[study", "resolves", "is not TOML"),
        ('name = "other"\nrecipe = "plain"', 'name = "other"\nrecipe = "plane"', "resolves", "no recipe 'plane'"),
        ("steps = 3", "stesp = 3", "resolves", "unknown key 'stesp'"),
        ("l1 = 1.0", "l3 = 1.0", "plugins", "no loss 'l3'"),
        ("sim:blocks,count=8", "sim:blocks,cuont=8", "plugins", "cuont"),
    ],
)
def test_a_fault_of_a_study_is_named(old: str, new: str, check: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_study(written(STUDY.replace(old, new), tmp_path / "mine.toml"))
    (fault,) = caught.value.report.failed
    assert fault.name == check and told in fault.detail


def test_a_variable_without_a_value_passes_the_study_over_with_the_reason(tmp_path: Path) -> None:
    path = written(STUDY.replace(', default = "sim:blocks,count=8"', ""), tmp_path / "mine.toml")
    report = check_study(path)
    assert not report.passed and {check.detail for check in report.checks} == {
        "it needs values for images; check_study takes them as settings"
    }
    assert check_study(path, settings=["images=sim:blocks,count=8"]).passed == ("resolves", "plugins")


@pytest.mark.parametrize("name", [p.name for p in discover() if p.kind == "study" and p.built_in])
def test_studies_of_kdcli_conform(name: str) -> None:
    check_study(name)
