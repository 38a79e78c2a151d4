"""The package as a whole: what it registers loads and conforms, and every recipe runs from its start to its end."""

from __future__ import annotations

import html
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import kdcli_zoo
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner
from zoo_runs import LAST, killed_and_resumed, small, trained

import kdcli
from kdcli import study as studies
from kdcli import testing
from kdcli.cli.app import app
from kdcli.config import RunConfig, load, outside_teachers
from kdcli.config.loss_specs import loss_spec
from kdcli.config.references import trains_student
from kdcli.plugins import registry
from kdcli.recipes import read

PACKAGE = Path(__file__).resolve().parents[1]
POINTS: dict[str, dict[str, str]] = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "entry-points"
]
KINDS = {group: kind for kind, group in registry.GROUPS.items()}
PLUGINS = [(KINDS[group], name) for group, points in POINTS.items() for name in points]
LOSSES, RECIPES = sorted(POINTS["kdcli.losses"]), sorted(POINTS["kdcli.recipes"])
SYSTEMS = {
    "mt-pkdot": "2408.09035", "rdd": "2407.03719", "comparative": "2311.02253", "ces": "2209.07606",
    "deep-supervision": "2202.07846", "kdiga": "2110.12072", "boosting": "2105.06143",
    "lightweight-teacher": "2005.09163", "pkt-hetero": "2005.00727", "residual": "2002.09168",
    **dict.fromkeys(
        ("hinton", "bss", "fitnets", "fsp", "attention", "similarity", "relational", "mutual", "one"), "2007.01922"
    ),
}
"""Recipe -> the paper, by its number on arXiv."""
NO_CODE = {"2209.07606", "2202.07846", "2007.01922", "2005.09163", "2002.09168"}
"""Papers whose method, or whose list of methods, is put together from what others say of it."""


@pytest.mark.parametrize(("kind", "name"), PLUGINS, ids=map(":".join, PLUGINS))
def test_what_is_registered_is_there(kind: str, name: str) -> None:
    plugin = registry.find(kind, f"kdcli-zoo:{name}")
    assert plugin.value == POINTS[registry.GROUPS[kind]][name], "other metadata is installed; install the package anew"
    assert plugin.shadowed_by is None
    if plugin.is_data:
        assert registry.data_file(plugin).is_relative_to(Path(kdcli_zoo.__file__).parent)
    else:
        assert registry.load(plugin).api_version == 2


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_conforms_by_its_name_alone(name: str) -> None:
    report = testing.check_loss(name)
    assert "contract" in report.passed and "training" in report.passed


@pytest.mark.parametrize("name", sorted(POINTS["kdcli.students"]))
def test_a_student_conforms_by_its_name_alone(name: str) -> None:
    assert "contract" in testing.check_student(name).passed


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_conforms(name: str) -> None:
    assert testing.check_recipe(name).passed == ("resolves", "plugins", "round trip")


@pytest.mark.parametrize("name", sorted(POINTS["kdcli.studies"]))
def test_a_study_conforms(name: str) -> None:
    assert testing.check_study(name).passed == ("resolves", "plugins")


def config_of(name: str) -> RunConfig:
    return load(*read(name))


def test_the_study_compares_every_recipe_at_equal_steps_and_calls_with_what_there_is_already() -> None:
    path, text = studies.read("zoo-mini")
    study = studies.plan(text, source=path, seeds=[0])
    configs = {cell.arm: cell.config for cell in study.cells}
    others = {"plain", "plain-truth", "supervised", "data-free", "tie-kd", "attention-comparative"}
    assert configs.keys() == {*RECIPES, *others} and study.reference == "plain"
    for arm, config in configs.items():
        moving = [stage for stage in config.stages if trains_student(config.stages, stage)]
        assert sum(stage.steps or 0 for stage in moving) == 200, arm
        assert {(stage.batch_size, stage.size) for stage in config.stages} == {(16, (64, 96))}
        assert all(stage.teacher_cache == "none" for stage in config.stages)
        assert config.main.lr == 1e-2 and config.eval_data == "sim:rooms,count=384,seed=1000"
        assert arm in ("supervised", "boosting") or config.main.data == "sim:blocks,count=3000"
    assert len({cell.key for cell in study.cells}) == len(configs)
    losses = {arm: dict(config.main.losses) for arm, config in configs.items()}
    assert losses["attention-comparative"] == losses["attention"] | losses["comparative"]


def test_the_study_is_also_one_of_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, form in (("rgb", "RGB"), ("depth", "I;16")):
        (tmp_path / "kitchen" / kind).mkdir(parents=True)
        for i in range(152):
            Image.new(form, (8, 6), 1000).save(tmp_path / "kitchen" / kind / f"{i:03}.png")
    mixed = "mixed=both:[rgbd:kitchen,stop=75|rgbd:kitchen,start=75,stop=150],share=0.5,labels=first"
    settings = ["teacher=run:kitchen-teacher", "images=rgbd:kitchen,stop=150", "held_out=rgbd:kitchen,start=150",
                "simulated=sim:interiors,count=1000", "size=96x128", "batch_size=8", mixed]
    path, text = studies.read("zoo-mini")
    for setting in settings:
        assert setting in text, f"the study's head does not show --set {setting}"
    for cell in studies.plan(text, source=path, settings=settings, seeds=[0]).cells:
        config = cell.config
        assert {(stage.batch_size, stage.size) for stage in config.stages} == {(8, (96, 128))}
        assert config.eval_data == "rgbd:kitchen,start=150"
        moving = [stage for stage in config.stages if trains_student(config.stages, stage)]
        assert sum(stage.steps or 0 for stage in moving) == 200, cell.arm
        seen = {stage.data for stage in config.stages}
        assert seen <= {"rgbd:kitchen,stop=150", "sim:interiors,count=1000", mixed.partition("=")[2]}, cell.arm
        asked = {spec for stage in config.stages for spec in outside_teachers(stage)}
        assert asked <= {"run:kitchen-teacher", "ground-truth"}, cell.arm


def told(*arguments: str) -> Any:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def test_listings_show_them() -> None:
    listed = [row for row in told("plugins", "list") if row["distribution"] == "kdcli-zoo"]
    assert {(row["kind"], row["name"]) for row in listed} == set(PLUGINS)
    assert not [row for row in listed if row["status"] in ("broken", "shadowed")]
    recipes = {row["name"]: row["about"] for row in told("recipes", "list") if row["distribution"] == "kdcli-zoo"}
    assert recipes.keys() == set(RECIPES) and not [about for about in recipes.values() if about.startswith("broken")]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_its_paper_and_says_what_is_a_reconstruction(name: str) -> None:
    about = small(name).about
    assert "arXiv" in about and SYSTEMS[name] in about
    assert SYSTEMS[name] not in NO_CODE or "reconstruction" in about


def test_help_says_what_is_a_reconstruction() -> None:
    for name in LOSSES:
        first = (registry.load(registry.find("loss", name)).__doc__ or "").partition("\n")[0]
        assert SYSTEMS[name] not in NO_CODE or "econstruction" in first, f"{name}: {first}"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_as_long_as_plain_and_has_a_twin_that_is_plain(name: str) -> None:
    whole, plain = config_of(name), config_of("plain")
    assert whole.twin is not None
    twin = whole.twin.stages(whole.stages)
    assert sum(stage.steps or 0 for stage in twin) == plain.main.steps
    for stage in twin:
        losses = {loss_spec(text).spec.name: weight for text, weight in stage.losses}
        assert losses == dict(plain.main.losses) and stage.task_loss == whole.main.task_loss


def test_every_system_has_a_page_and_a_line() -> None:
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    assert SYSTEMS.keys() == set(RECIPES)
    for name, number in SYSTEMS.items():
        row = re.search(rf"^\| `{name}` \|.*$", readme, flags=re.MULTILINE)
        assert row is not None and number in row[0], name
        assert f"(docs/{name}.md)" in row[0] and (PACKAGE / "docs" / f"{name}.md").is_file()
        assert number not in NO_CODE or "reconstruction" in row[0], name


def students() -> dict[str, str]:
    """Return the students that recipes end in, each with the first of them that does."""
    found: dict[str, str] = {}
    for name in RECIPES:
        found.setdefault(config_of(name).student, name)
    return found


def whole(name: str, folder: Path, *settings: str) -> tuple[Any, dict[str, dict[str, torch.Tensor]]]:
    """Run a small recipe from its start to its end; return the result and the tensors of what it trained."""
    result = kdcli.distill(small(name, *settings), out=folder / "whole")
    return result, trained(result.run)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_is_killed_and_goes_on_to_the_same_bits(name: str, tmp_path: Path) -> None:
    config = small(name)
    result, expected = whole(name, tmp_path, "export=none")
    manifest = json.loads((result.run / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["state"] == "finished" and result.eval["student"]["metrics"]["delta1"] is not None
    logged = [json.loads(line) for line in (result.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["stage"] for row in logged} == {stage.name for stage in config.stages}
    assert all(torch.isfinite(torch.tensor(row["loss"])) for row in logged)
    bare_network = kdcli.build("student", config.student).state_dict()
    assert {key: value.shape for key, value in expected["student.safetensors"].items()} == {
        key: value.shape for key, value in bare_network.items()
    }
    page = html.unescape((result.run / "report.html").read_text(encoding="utf-8"))
    assert f"{name}: {config.about}" in page

    bare = small(name, "export=none", "run.eval_data=none")
    resumed = trained(killed_and_resumed(bare, tmp_path / "killed", stage=config.main.name, step=LAST))
    assert resumed.keys() == expected.keys()
    for file, tensors in expected.items():
        assert tensors.keys() == resumed[file].keys()
        for key, value in tensors.items():
            assert torch.equal(value, resumed[file][key]), f"{file}: {key}"


@pytest.mark.slow
@pytest.mark.parametrize("name", students().values())
def test_each_student_is_exported_and_the_file_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    """An export takes ten times as long as such a run, so that each network goes through the gate once.

    That what a recipe leaves behind is that network, with nothing of the method on it, is seen above.
    """
    result, _ = whole(name, tmp_path, "run.eval_data=none")
    manifest = json.loads((result.run / "manifest.json").read_text(encoding="utf-8"))
    assert result.export is not None and result.export.is_file()
    parity = re.fullmatch(r"largest relative difference (\d\.\de[+-]\d+)", manifest["export"]["parity"])
    assert parity is not None and float(parity[1]) < 1e-3
