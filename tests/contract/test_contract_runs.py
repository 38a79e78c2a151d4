"""Every prototype: two runs are one to the last bit, another seed is another run, and stopping leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from contract_runs import Prototype, differing, go_on, trained
from contract_site import PACKAGES, plugins_of

from kdcli import testing
from kdcli.plugins import registry
from kdcli.training.loop import checkpoint
from kdcli.training.run.dry_run import measure
from kdcli.training.run.folder import RunFolder

RECIPES = {
    "residual": ("base", "assistant"), "auxiliary": ("aux", "main"), "align-frozen": ("align", "main"),
    "align-trained": ("align", "main"), "critic": ("main",), "bank": ("main",), "peer": ("main",),
    "mean-peer": ("main",), "choice": ("main",), "gradients": ("main",),
}
STAGES = [(recipe, "student", stage) for recipe, stages in RECIPES.items() for stage in stages]
TWINS = [(recipe, "twin", stages[-1]) for recipe, stages in RECIPES.items()]
PLUGINS = [
    (kind, name) for package in sorted(PACKAGES.iterdir()) if package.name != "odd-losses"
    for kind, name in plugins_of(package)
]
KIT = {
    "loss": testing.check_loss, "student": testing.check_student, "teacher": testing.check_teacher,
    "mixer": testing.check_mixer,
}
SPECS = {"residual": "residual:[tiny|tiny,width=4]", "asks": "asks,orders=3"}


@pytest.fixture
def prototype(
    request: pytest.FixtureRequest, installed: Path, tmp_path_factory: pytest.TempPathFactory,
    prototypes: dict[str, Prototype],
) -> Prototype:
    recipe = request.param
    if recipe not in prototypes:
        prototypes[recipe] = Prototype(recipe=recipe, folder=tmp_path_factory.mktemp(recipe))
    return prototypes[recipe]


@pytest.mark.parametrize("prototype", RECIPES, indirect=True)
def test_two_runs_are_one_and_another_seed_is_another(prototype: Prototype) -> None:
    assert not differing(prototype.whole, prototype.run("again"))
    other = trained(prototype.run("other", seed=1))
    for file, tensors in trained(prototype.whole).items():
        assert any(not torch.equal(value, other[file][name]) for name, value in tensors.items()), file


@pytest.mark.parametrize(("prototype", "variant", "stage"), [*STAGES, *TWINS], indirect=["prototype"])
@pytest.mark.parametrize(("step", "dies"), [(1, True), (3, False)], ids=["dies", "asked"])
def test_stopped_in_any_stage_it_goes_on_to_the_same_bits(
    prototype: Prototype, variant: str, stage: str, step: int, dies: bool
) -> None:
    run = prototype.stopped(variant, stage, step, dies=dies)
    if not dies:
        assert RunFolder(run).manifest()["state"] == "interrupted"
        begun = checkpoint.read(RunFolder(run).state)
        assert (begun["variant"], begun["stage"], begun["step"]) == (variant, stage, step)
    go_on(run)
    assert not differing(prototype.whole, run)


@pytest.mark.parametrize("prototype", RECIPES, indirect=True)
def test_a_dry_run_tells_every_stage_and_writes_nothing(
    prototype: Prototype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = measure(prototype.config(), torch.device("cpu"))
    assert tuple(row["stage"] for row in told["stages"]) == RECIPES[prototype.recipe]
    assert all(row["trained_parameters"] > 0 and row["seconds_per_step"] > 0 for row in told["stages"])
    assert not list(tmp_path.iterdir())


SHOWN = {"gradients": 2 * 5 * 4, "choice": 5 * 6, "bank": 5 * 4, "auxiliary": 3 * 4 + 6 * 4}
"""Images that teachers from outside are shown in all; of ``gradients`` each twice, of ``choice`` each by one."""


@pytest.mark.parametrize("prototype", SHOWN, indirect=True)
def test_images_shown_to_teachers_are_counted_however_often_a_run_was_stopped(prototype: Prototype) -> None:
    last = RECIPES[prototype.recipe][-1]
    expected = SHOWN[prototype.recipe]
    shown = RunFolder(prototype.whole).manifest()["teacher_images"]
    assert sum(count for place, count in shown.items() if place.startswith("student.")) == expected
    run = prototype.stopped("student", last, 3, dies=True)
    go_on(run)
    assert RunFolder(run).manifest()["teacher_images"] == shown
    rows = measure(prototype.config(), torch.device("cpu"))["stages"]
    assert prototype.recipe == "choice" or sum(row["teacher_images"] for row in rows) == expected


@pytest.mark.parametrize("prototype", RECIPES, indirect=True)
def test_a_twin_is_the_run_without_the_method(prototype: Prototype) -> None:
    files = trained(prototype.whole)
    mine, other = files["student.safetensors"], files["twin/student.safetensors"]
    assert mine.keys() == other.keys()
    assert any(not torch.equal(value, other[name]) for name, value in mine.items())


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_it_passes_the_kit(installed: Path, kind: str, name: str) -> None:
    exempt = getattr(registry.load(registry.find(kind, name)), "exempt", {})
    report = KIT[kind](SPECS.get(name, name), skip=tuple(exempt))
    assert "contract" in report.passed
