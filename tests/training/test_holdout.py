"""Images that a run holds out: never trained on, and what student and twin are held against their teacher on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdcli.config import RunConfig, load
from kdcli.errors import ConfigError, DataError
from kdcli.plugins import registry
from kdcli.students.files import save_student
from kdcli.training.batches.feed import Feed
from kdcli.training.loop.train import StepLog
from kdcli.training.run import finish
from kdcli.training.run.compare import compare_runs, plot_runs
from kdcli.training.run.dry_run import measure
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.listing import list_runs
from kdcli.training.run.progress import Silent
from kdcli.training.run.workshop import Workshop
from kdcli.types import Batch, DepthKind
from kdcli.weights import load_state

CPU = torch.device("cpu")
RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "none"
export = "none"
holdout = 0.2
[defaults]
teachers = ["TEACHER"]
data = "folder:DATA"
size = "32x48"
batch_size = 4
log_every = 1
checkpoint_every = 2
[[stage]]
name = "first"
losses = { l1 = 1.0 }
steps = 4
[[stage]]
name = "main"
losses = { log-l1 = 1.0 }
steps = 6
[twin]
label = "other loss"
losses = { l1 = 1.0 }
"""
FITTED = RECIPE.replace('name = "first"\nlosses = { l1 = 1.0 }', 'name = "first"\ntrain = "transform"').replace(
    'name = "main"', 'name = "main"\ntransform = "fitted"'
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of twenty pictures without depth, ten of each of two scenes."""
    generator = np.random.default_rng(5)
    for i in range(20):
        path = tmp_path / "photos" / f"scene{i // 5}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def recipe(photos: Path, teacher_file: Path) -> Callable[..., RunConfig]:
    def resolve(*settings: str, text: str = RECIPE, **flags: Any) -> RunConfig:
        text = text.replace("TEACHER", f"run:{teacher_file}").replace("DATA", f"{photos},recursive=true")
        return load("tiny", text, flags, settings)

    return resolve


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Ids of all images that a feed gives while the test runs."""
    seen: set[str] = set()
    original = Feed.batches_of

    def batches_of(self: Feed, chosen: Iterable[Sequence[int]], images: int | None = None) -> Iterator[Batch]:
        for batch in original(self, chosen, images):
            seen.update(batch.ids)
            yield batch

    monkeypatch.setattr(Feed, "batches_of", batches_of)
    return seen


class StopAt(Silent):
    """Asks the process to stop once a step of a variant is logged, as Ctrl-C does."""

    def __init__(self, variant: str, stage: str, step: int) -> None:
        self._at = (variant, stage, step)

    def step(self, log: StepLog) -> None:
        if (log.variant, log.stage, log.step) == self._at:
            os.kill(os.getpid(), signal.SIGINT)


def held_out(config: RunConfig) -> set[str]:
    holdout = Workshop(config=config, device=CPU).holdout
    assert holdout is not None
    return {pair.id for pair in holdout.images.pairs}


def names(photos: Path) -> set[str]:
    return {path.relative_to(photos).as_posix() for path in photos.rglob("*.png")}


@pytest.mark.parametrize("text", [RECIPE, FITTED], ids=["two stages", "fitted"])
@pytest.mark.parametrize("by", ["index", "folder"])
def test_no_stage_and_no_twin_sees_a_held_out_image(
    recipe: Callable[..., RunConfig], photos: Path, tmp_path: Path, fed: set[str], text: str, by: str
) -> None:
    config = recipe(f"holdout_by={by}", "epochs=2", text=text)
    out = held_out(config)
    result = distill(config, out=tmp_path / "run")
    assert len(out) == (4 if by == "index" else 5)
    assert fed == names(photos) - out
    assert {s["n"] for s in result.fidelity["teacher"].values()} == {len(out)}


def test_the_cache_of_a_teacher_holds_no_held_out_image(
    recipe: Callable[..., RunConfig], photos: Path, tmp_path: Path, fed: set[str]
) -> None:
    config = recipe(f'teacher_cache="{tmp_path / "cache"}"')
    distill(config, out=tmp_path / "run")
    assert len(list((tmp_path / "cache" / "maps").rglob("*.png"))) == 16
    assert fed == names(photos) - held_out(config)


def test_fidelity_is_measured_and_told_everywhere(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = recipe("export=onnx")
    result = distill(config, out=tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    told = result.document()["fidelity"]["teacher"]
    assert list(told) == ["student", "twin"] and result.eval == {}
    student = told["student"]
    assert student["protocol"]["name"] == "fidelity" and student["against"] == config.main.teachers[0]
    assert student["n"] == 4 and set(student["metrics"]) >= {"delta1", "abs_rel"} and student["ci95"]["delta1"][0] >= 0
    assert student["paired"]["twin"]["n"] == 4
    manifest = run.manifest()
    written = json.loads((run.path / "fidelity" / "results.json").read_text())
    assert manifest["fidelity"] == written == json.loads(json.dumps({"teacher": told})) and manifest["eval"] == {}
    held = manifest["holdout"]
    assert (held["share"], held["by"], held["images"], held["held_out"], held["training"]) == (0.2, "index", 20, 4, 16)
    assert run.config().holdout == 0.2 and not (run.path / "eval").exists()
    page = (run.path / "report.html").read_text()
    assert "Fidelity to the teacher (not accuracy)" in page and "Results</h2>" not in page
    assert (run.path / "picture.png").is_file()
    (row,) = list_runs(tmp_path)
    assert row["delta1"] == {} and set(row["fidelity_delta1"]) == {"student", "twin"}


def test_exports_are_proved_on_held_out_images(recipe: Callable[..., RunConfig]) -> None:
    shop = Workshop(config=recipe(), device=CPU)
    assert shop.holdout is not None
    images = finish._held_out_images(shop)
    expected = torch.stack([shop.holdout.images[i].image for i in range(4)])
    small = torch.nn.functional.interpolate(expected, size=(32, 48), mode="bilinear", antialias=True).clamp(0, 1)
    assert torch.equal(images, small)


@pytest.mark.parametrize("at", [("student", "first", 3), ("student", "main", 3), ("twin", "main", 3)], ids=str)
def test_a_run_goes_on_with_the_same_images_to_the_same_bits(
    recipe: Callable[..., RunConfig], tmp_path: Path, fed: set[str], at: tuple[str, str, int]
) -> None:
    config = recipe()
    distill(config, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=tmp_path / "split", progress=StopAt(*at))
    distill(resumable(tmp_path / "split"), resume=tmp_path / "split")
    for name in ("student.safetensors", "twin/student.safetensors"):
        one, two = (load_state(tmp_path / run / name) for run in ("whole", "split"))
        assert all(torch.equal(value, two[key]) for key, value in one.items())
    first, second = (RunFolder(tmp_path / run).manifest() for run in ("whole", "split"))
    assert first["holdout"] == second["holdout"] and first["fidelity"] == second["fidelity"]
    assert not fed & held_out(config)


def test_a_run_whose_images_changed_does_not_go_on(
    recipe: Callable[..., RunConfig], photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        distill(recipe(), out=tmp_path / "run", progress=StopAt("student", "main", 3))
    (photos / "scene0" / "00.png").unlink()
    with pytest.raises(DataError, match=r"not those with which run .* began \(20 then, 19 now\)"):
        distill(resumable(tmp_path / "run"), resume=tmp_path / "run")


def test_another_spec_of_the_same_files_does_not_bring_them_back(
    recipe: Callable[..., RunConfig], photos: Path, tmp_path: Path, fed: set[str]
) -> None:
    (tmp_path / "links").mkdir()
    for i, path in enumerate(sorted(photos.rglob("*.png"))):
        (tmp_path / "links" / f"link{i:02}.png").symlink_to(path)
    config = recipe(f'first.data="folder:{tmp_path / "links"}"')
    distill(config, out=tmp_path / "run")
    assert {name for name in fed if name.startswith("link")} <= {f"link{i:02}.png" for i in range(16)}
    assert any(name.startswith("link") for name in fed)
    with pytest.raises(ConfigError, match="leaves no image of"):
        distill(recipe(f'first.data="folder:{photos / "scene3"},start=1"'), out=tmp_path / "other")


def test_rendered_images_are_told_by_world_and_number(recipe: Callable[..., RunConfig], fed: set[str]) -> None:
    config = recipe('data="sim:blocks,count=10"', 'first.data="sim:blocks,count=14,size=24x32"')
    shop = Workshop(config=config, device=CPU)
    assert shop.holdout is not None and list(shop.holdout.images.indices) == [8, 9]
    first, main = (shop.images(stage) for stage in config.stages)
    assert list(main.indices) == list(range(8))  # type: ignore[attr-defined]
    assert list(first.indices) == [*range(8), *range(10, 14)]  # type: ignore[attr-defined]
    for stage in config.stages:
        list(shop.feed(stage).batches(0, 4))
    held = {shop.holdout.images[i].id for i in range(2)}
    assert len(fed) == 12 and not fed & held
    whole = shop.source("sim:blocks,count=10")
    batch = next(shop.feed(config.main).batches_of([[3, 7]]))
    rendered = whole.batch([3, 7], (32, 48), CPU)  # type: ignore[attr-defined]
    assert batch.ids == rendered.ids and torch.allclose(batch.image, rendered.image, atol=0.5 / 255 + 1e-6)
    other = recipe('data="sim:blocks,count=10"', 'first.data="sim:rooms,count=10"')
    shop = Workshop(config=other, device=CPU)
    assert len(shop.images(other.stages[0])) == 10, "another world has other images"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (('data="sim:blocks"',), "endless; write count=N"),
        (('data="sim:blocks,count=9"', 'first.data="sim:blocks"'), "endless and has images that holdout=0.2 holds out"),
        (('data="sim:blocks,count=1"',), "none can be spared"),
        (('data="both:[sim:blocks,count=20|sim:rooms,count=1]"',), "leaves no image of the second source of 'both:"),
        (('data="sim:blocks,count=9"', "holdout_by=folder"), "does not tell in which folders"),
        (('teachers=["ground-truth"]', 'data="sim:blocks,count=9"'), "answers from the data; leave holdout out"),
    ],
)
def test_what_cannot_be_held_out_is_refused_before_anything_is_written(
    recipe: Callable[..., RunConfig], tmp_path: Path, settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        distill(recipe(*settings), out=tmp_path / "run")
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_several_teachers_are_each_held_against(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    teacher = recipe().main.teachers[0]
    config = recipe(f'teachers=["a={teacher}", "b=demo", "truth=ground-truth"]',
                    'main.losses={ "l1,teacher=b" = 1.0 }', 'first.losses={ "l1,teacher=a" = 1.0 }',
                    'data="sim:rooms,count=20"')  # fmt: skip
    result = distill(replace(config, twin=None), out=tmp_path / "run")
    assert {role: told["student"]["against"] for role, told in result.fidelity.items()} == {
        "teacher": teacher, "teacher 2": "demo",
    }
    assert result.fidelity["teacher"]["student"]["metrics"] != result.fidelity["teacher 2"]["student"]["metrics"]


def test_a_teacher_of_unknown_offset(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    teacher = registry.build("student", "mobilenet,width=0.35")
    teacher.depth_kind = DepthKind.AFFINE_DISPARITY
    save_student(tmp_path / "teacher.safetensors", teacher, "mobilenet,width=0.35", {})
    config = recipe(f'teachers=["run:{tmp_path / "teacher.safetensors"}"]', "losses={ affine-invariant = 1.0 }")
    config = replace(config, twin=None)
    result = distill(config, out=tmp_path / "run")
    student = result.fidelity["teacher"]["student"]
    assert student["depth_kind"] == "affine_disparity" and student["align"] == "scale-shift"
    assert student["protocol"]["name"] == "fidelity+scale-shift" and student["metrics"]["delta1"] is not None


def test_runs_are_compared_by_fidelity_under_that_name(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        distill(recipe("steps=1", seed=seed), out=tmp_path / name)
    distill(recipe("steps=1", 'teachers=["demo"]'), out=tmp_path / "other")
    distill(recipe("steps=1", "holdout=0", eval_data="sim:rooms,count=3"), out=tmp_path / "measured")
    first, second, third = compare_runs([tmp_path / name for name in ("one", "two", "other")])
    assert "metrics" not in first and "protocol" not in second
    assert second["fidelity"]["delta1_against_first"].endswith("on 4 images")
    assert third["fidelity"]["delta1_against_first"] == "not comparable: other images, protocol or teacher"
    with pytest.raises(DataError, match="has no results"):
        compare_runs([tmp_path / "one", tmp_path / "measured"])
    pytest.importorskip("matplotlib")
    plot_runs([tmp_path / "one", tmp_path / "two"], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").is_file()


def test_accuracy_and_fidelity_stand_side_by_side(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        distill(recipe("steps=1", seed=seed, eval_data="sim:rooms,count=3"), out=tmp_path / name)
    first, second = compare_runs([tmp_path / "one", tmp_path / "two"])
    assert first["protocol"].startswith("plain") and first["fidelity"]["protocol"].startswith("fidelity")
    assert second["delta1_against_first"].endswith("on 3 images")
    assert second["fidelity"]["delta1_against_first"].endswith("on 4 images")
    assert first["metrics"] != first["fidelity"]["metrics"]


def test_a_dry_run_says_what_is_held_out(recipe: Callable[..., RunConfig]) -> None:
    told = measure(recipe(), CPU)
    assert told["holdout"]["held_out"] == 4 and told["holdout"]["rule"] == "the end of the listing"
    assert "holdout" not in measure(recipe("holdout=0"), CPU)
