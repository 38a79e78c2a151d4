from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from kdcli.config import RunConfig, dump, load
from kdcli.errors import ConfigError, DataError, TrainingError
from kdcli.files import write_text
from kdcli.mixers.cutmix import CutMix
from kdcli.mixers.mixup import MixUp
from kdcli.plugins import registry
from kdcli.testing import toys
from kdcli.training.batches.taught import shown_sample
from kdcli.training.batches.teacher_cache import make, open_cache
from kdcli.training.loop import train as loop
from kdcli.training.loop.train import StepLog
from kdcli.training.run.dry_run import measure
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill
from kdcli.training.run.progress import Silent
from kdcli.training.run.workshop import Workshop
from kdcli.training.single.cache_set import cache_set
from kdcli.training.step.context import Context, ModelView
from kdcli.training.step.mixing import MixStep
from kdcli.training.step.parts import LossPart
from kdcli.training.step.task import DistillTask
from kdcli.types import Batch
from kdcli.weights import load_state

CPU = torch.device("cpu")
RECIPE = """
[run]
student = "mobilenet,width=0.35"
export = "none"
[[stage]]
name = "train"
teachers = ["TEACHER"]
data = "DATA"
size = "32x48"
batch_size = 4
losses = { l1 = 1.0 }
epochs = 2
log_every = 1
flip = false
amp = "off"
teacher_cache = "CACHE"
teacher_storage = "float32"
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve pictures of the training size."""
    (tmp_path / "photos").mkdir()
    for number in range(12):
        photo(tmp_path / "photos" / f"{number:02d}.png", number)
    return tmp_path / "photos"


@pytest.fixture
def recipe(photos: Path, tmp_path: Path, teacher_file: Path) -> Callable[..., RunConfig]:
    """A function that resolves the recipe for these pictures and a folder for the cache."""

    def resolve(*settings: str, cache: str = "", data: str = "", **flags: Any) -> RunConfig:
        text = RECIPE.replace("TEACHER", f"run:{teacher_file}").replace("DATA", data or f"folder:{photos}")
        return load("cached", text.replace("CACHE", cache or str(tmp_path / "cache")), flags, settings)

    return resolve


def photo(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 48, 3), dtype=np.uint8)).save(path)


def made(config: RunConfig, told: Callable[[str, int, int], None] = lambda *_: None) -> dict[str, Any]:
    """Make a stage's cache and return what the manifest would say."""
    shop, stage = Workshop(config=config, device=CPU), config.main
    cache = shop.taught(stage)
    assert cache is not None
    return make(cache, stage, shop.feed(stage, cache), told)


def maps(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((folder / "maps").rglob("*")) if p.is_file()}


def tensors(run: Path) -> dict[str, Tensor]:
    return load_state(run / "student.safetensors")


@pytest.mark.parametrize(("storage", "off"), [("float32", 1e-6), ("float16", 1e-3), ("png16", 1e-3)])
def test_training_with_a_cache_is_training_with_the_teacher(
    recipe: Callable[..., RunConfig], tmp_path: Path, storage: str, off: float
) -> None:
    def train(cached: bool) -> tuple[list[float], dict[str, Tensor]]:
        config = recipe(f"teacher_storage={storage}", cache="" if cached else "none")
        stage, shop = config.main, Workshop(config=config, device=CPU)
        student, teachers = toys.ToyDepth(stride=1, seed=1), {"toy": toys.ToyDepth(stride=1, seed=2).eval()}
        cache = open_cache(stage, shop.source(stage.data), teachers, CPU)
        feed = shop.feed(stage, cache)
        assert (cache is not None) == cached
        if cache is not None:
            assert make(cache, stage, feed, lambda *_: None)["made"] == 12
        losses = [LossPart(name=name, loss=registry.build("loss", name)) for name in ("l1", "ssim")]
        task = DistillTask(
            stage, student, teachers, losses, [], None, seed=1, device=CPU, cached=("toy",) if cached else ()
        )
        seen: list[StepLog] = []
        state = loop.train(
            stage, task, feed, seed=1, state_file=tmp_path / "state.pt", variant="student", report=seen.append
        )
        return [log.loss for log in seen], state

    (live, one), (kept, two) = train(False), train(True)
    assert len(live) == 6 and live == pytest.approx(kept, rel=off)
    for name, value in one.items():
        assert torch.allclose(value.float(), two[name].float(), rtol=off, atol=10 * off), name


@pytest.mark.slow
def test_a_run_tells_its_cache_and_the_next_one_uses_it(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    notes: list[str] = []

    class Notes(Silent):
        def note(self, message: str) -> None:
            notes.append(message)

    first = distill(recipe(), out=tmp_path / "first", progress=Notes())
    told = RunFolder(first.run).manifest()["teacher_cache"]["student.train"]
    assert told["made"] == told["maps"] == 12 and len(told["caches"][0]["manifest_sha256"]) == 64
    assert any("teacher cache of 12 maps, 12 made now" in note for note in notes)
    second = distill(recipe(), out=tmp_path / "second")
    reused = RunFolder(second.run).manifest()["teacher_cache"]["student.train"]
    assert reused["made"] == 0 and reused["reused"] == 12
    shown = [RunFolder(one.run).manifest()["teacher_images"]["student.train"] for one in (first, second)]
    assert shown == [12, 0]
    assert reused["caches"][0]["maps_sha256"] == told["caches"][0]["maps_sha256"]
    assert all(torch.equal(value, tensors(second.run)[name]) for name, value in tensors(first.run).items())


def test_a_cached_teacher_is_not_asked(recipe: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    config = recipe("flip=true", "workers=2")
    made(config)
    shop, stage = Workshop(config=config, device=CPU), config.main
    student, _ = shop.student()
    task, feed = shop.task(stage, student, None), shop.feed(stage, shop.taught(stage))
    (teacher,) = shop.teachers(stage).values()
    monkeypatch.setattr(teacher, "forward", lambda image: pytest.fail("the teacher was asked"))
    for step, batch in enumerate(feed.batches(0, 4)):
        assert batch.taught is not None and batch.taught.shape == (4, 1, 32, 48)
        task(batch, step, 4).loss.backward()


def test_a_stopped_making_goes_on(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    config = recipe()
    with pytest.raises(KeyboardInterrupt):
        made(config, stop)
    assert len(maps(tmp_path / "cache")) == 8
    done: list[int] = []
    told = made(config, lambda what, number, total: done.append(number))
    assert told["made"] == 4 and done == [12], "what was done is not looked at again"
    whole = made(recipe(cache=str(tmp_path / "whole")))
    assert maps(tmp_path / "cache").keys() == maps(tmp_path / "whole").keys()
    assert told["caches"][0]["maps_sha256"] == whole["caches"][0]["maps_sha256"]


@pytest.mark.slow
def test_a_killed_making_goes_on(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = recipe("batch_size=1")
    write_text(tmp_path / "recipe.toml", dump(config))
    command = [sys.executable, "-m", "kdcli", "distill", "--recipe", str(tmp_path / "recipe.toml"), "--quiet"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "run")], env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        deadline = time.monotonic() + 600
        while not list((tmp_path / "cache").glob("maps/*/*")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.wait()
    before = maps(tmp_path / "cache")
    told = made(config)
    assert before and told["made"] == 12 - len([name for name in before if not name.startswith(".")])


def test_changed_images_and_bad_maps_are_made_again(
    recipe: Callable[..., RunConfig], photos: Path, tmp_path: Path
) -> None:
    config = recipe()
    made(config)
    shop, stage = Workshop(config=config, device=CPU), config.main
    opened = shop.taught(stage)
    assert opened is not None
    source, (store,) = shop.source(stage.data), opened.reader.stores
    files = [store.file(shown_sample(source[number])) for number in range(12)]
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].unlink()
    files[2].write_bytes(files[3].read_bytes())
    photo(photos / "05.png", 99)
    cache = shop.taught(stage)
    assert cache is not None
    batches = list(shop.feed(stage, cache).batches(0, 3))
    assert cache.made == 4 and len(maps(tmp_path / "cache")) == 13
    fresh = made(recipe(cache=str(tmp_path / "fresh")))
    assert fresh["made"] == 12
    other = recipe(cache=str(tmp_path / "fresh"))
    for batch, clean in zip(batches, Workshop(config=other, device=CPU).feed(
        other.main, Workshop(config=other, device=CPU).taught(other.main)
    ).batches(0, 3), strict=True):
        assert batch.ids == clean.ids and batch.taught is not None and clean.taught is not None
        assert torch.allclose(batch.taught, clean.taught, rtol=1e-5)
    assert cache_set(stage.teachers[0], stage.data, tmp_path / "cache", storage="float32")["made"] == 0


def test_another_teacher_gets_maps_of_its_own(
    recipe: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(recipe())
    with pytest.raises(ConfigError, match="is of teacher 'run:"):
        made(recipe(teachers=("demo",)))
    with pytest.raises(ConfigError, match="32x48 pixels, not 32x64"):
        made(recipe("size=32x64"))
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "user"))
    for config in (
        recipe(cache="auto"), recipe(cache="auto", teachers=("demo",)), recipe("size=32x64", cache="auto"),
    ):
        assert made(config)["made"] == 12
    assert made(recipe(cache="auto"))["made"] == 0
    assert len(list((tmp_path / "user" / "teachers").iterdir())) == 3


def test_several_teachers_and_one_that_answers_from_the_data(tmp_path: Path, teacher_file: Path) -> None:
    text = RECIPE.replace("CACHE", str(tmp_path / "cache")).replace("DATA", "sim:blocks,count=6")
    both = load("two", text.replace('"TEACHER"', f'"run:{teacher_file}", "demo", "ground-truth"'), {}, ())
    told = made(both)
    assert told["maps"] == 12 and told["made"] == 12 and len(told["caches"]) == 2
    assert made(both)["made"] == 0
    shop, stage = Workshop(config=both, device=CPU), both.main
    batch = next(shop.feed(stage, shop.taught(stage)).batches(0, 1))
    student, _ = shop.student()
    context = shop.task(stage, student, None).context(batch, 0, 1)
    for name, view in context.teachers.items():
        taught = getattr(view, "taught", None)
        if name == "ground-truth":
            assert taught is None
        else:
            assert torch.allclose(context.target(view)[0], at_own_size(view, context), rtol=0.05, atol=0.05)
    alone = load("one", text.replace("TEACHER", "ground-truth"), {}, ())
    assert Workshop(config=alone, device=CPU).taught(alone.main) is None


def at_own_size(view: ModelView, context: Context) -> Tensor:
    """Return what a teacher says when it is asked."""
    plain = ModelView(view.model, context.batch, gradient=False)
    return Context(
        step=0, batch_number=0, epoch=0, stage="x", progress=0, generator=torch.Generator(), batch=context.batch,
        student=context.student, teachers={"one": plain},
    ).target()[0]


def test_what_makes_no_sense_is_refused(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="its mixer mixup changes"):
        recipe('mixers=["mixup"]')
    with pytest.raises(ConfigError, match=r"transform x\.safetensors changes"):
        recipe("transform=x.safetensors")
    assert recipe('mixers=["none"]').main.mixers == ("none",)
    assert recipe("teacher_flip=true").main.teacher_flip == "true"
    with pytest.raises(ConfigError, match="never meets an image of 'sim:blocks' again"):
        made(recipe(data="sim:blocks"))
    with pytest.raises(ConfigError, match="answers from the data"):
        cache_set("ground-truth", "sim:blocks,count=2", tmp_path / "gt")
    with pytest.raises(ConfigError, match="belongs to --layout gt-kd"):
        cache_set("demo", "sim:blocks,count=2", tmp_path / "gt", max_depth=3.0)


def test_a_full_disk_is_told_before_the_first_step(
    recipe: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = measure(recipe(), CPU)["stages"][0]["teacher_cache"]
    assert told["missing"] == told["images"] == 12 and 12 * 32 * 48 * 4 <= told["bytes"] <= 12 * (32 * 48 * 4 + 5000)
    assert not (tmp_path / "cache").exists(), "a dry run writes nothing"
    monkeypatch.setattr("kdcli.cache.place.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(ConfigError, match="takes up to"):
        distill(recipe(), out=tmp_path / "run")
    assert not (tmp_path / "run").exists() and not (tmp_path / "cache").exists()


def test_a_disk_that_fills_up_leaves_whole_maps(
    recipe: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kdcli.cache.folder as folder

    write, written = folder.write_entry, []

    def full(path: Path, *rest: Any) -> None:
        if len(written) == 5:
            raise OSError(28, "No space left on device", str(path))
        write(path, *rest)
        written.append(path)

    monkeypatch.setattr(folder, "write_entry", full)
    with pytest.raises(TrainingError, match=r"the disk of '.*' is full"):
        distill(recipe(), out=tmp_path / "run")
    monkeypatch.undo()
    assert len(maps(tmp_path / "cache")) == 5
    assert made(recipe())["made"] == 7


def test_mixers_drop_what_was_said_of_the_images_before() -> None:
    batch = replace(toys.toy_batch(batch=4), taught=torch.ones(4, 1, 32, 48))
    context = MixStep(step=0, stage="x", progress=0.0, generator=torch.Generator())
    mixers: list[Any] = [CutMix(), MixUp()]
    for mixer in mixers:
        mixed: Batch = mixer.mix(batch, context)
        assert mixed.taught is None, mixer


def test_rendered_images_are_recognised(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = recipe(data="sim:blocks,count=10")
    assert made(config)["made"] == 10
    assert made(config)["made"] == 0
    assert made(recipe(data="sim:blocks,count=12"))["made"] == 2, "a longer source shares the first images"
    assert made(recipe(data="sim:blocks,count=12,seed=1"))["made"] == 12


def test_a_folder_is_checked_without_training(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    stage = recipe().main
    told = cache_set(stage.teachers[0], stage.data, tmp_path / "cache", storage="float32", workers=1)
    assert told["made"] == 12 and told["bytes"] > 12 * 32 * 48 * 4
    assert made(recipe())["made"] == 0
    cache_set(stage.teachers[0], stage.data, tmp_path / "cache", storage="float32", verify=True)
    spoilt = next((tmp_path / "cache" / "maps").rglob("*.safetensors"))
    spoilt.write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=r"1 of 12 maps .* missing or not sound"):
        cache_set(stage.teachers[0], stage.data, tmp_path / "cache", storage="float32", verify=True)
    assert cache_set(stage.teachers[0], stage.data, tmp_path / "cache", storage="float32")["made"] == 1


def test_the_authors_layout_goes_round(recipe: Callable[..., RunConfig], tmp_path: Path, teacher_file: Path) -> None:
    drive = tmp_path / "kitti" / "2011_09_26" / "2011_09_26_drive_0002_sync" / "image_02" / "data"
    drive.mkdir(parents=True)
    for number in range(4):
        photo(drive / f"{number:010d}.png", number)
    data, teacher = f"kitti:{tmp_path / 'kitti'}", f"run:{teacher_file}"
    out = tmp_path / "gt_kd_test_kitti"
    told = cache_set(teacher, data, out, layout="gt-kd", size=(32, 48))
    assert told["made"] == 4 and told["caches"][0]["max_depth"] == 80
    assert json.loads((out / "kdcli.json").read_text())["sources"][data]["done"] == 4
    config = recipe("teacher_storage=auto", data=data, cache=str(out))
    assert made(config)["made"] == 0
    (out / "kdcli.json").unlink()  # as if the authors' code had made it
    result = distill(config, out=tmp_path / "run")
    row = RunFolder(result.run).manifest()["teacher_cache"]["student.train"]["caches"][0]
    assert row["made_by_kdcli"] is False and row["layout"] == "gt-kd"
    name = "2011_09_26_2011_09_26_drive_0002_sync_image_02_data_0000000002.png"
    (out / name).unlink()
    with pytest.raises(DataError, match=r"no map of 1 of the 4 images, such as '.*0000000002.png'"):
        distill(config, out=tmp_path / "other")
