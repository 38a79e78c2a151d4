"""Images of files that stay in memory, and what teachers say of them: the same to the bit, and decoded once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from kdcli.config import RunConfig, load
from kdcli.errors import ConfigError, DataError
from kdcli.sources import load_source
from kdcli.training.batches import room as rooms
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.kept_images import KeptImages, bytes_for, packed, unpacked
from kdcli.training.batches.room import room, workers_for
from kdcli.training.run.dry_run import measure
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill
from kdcli.training.run.progress import Silent
from kdcli.training.run.workshop import Workshop
from kdcli.types import Batch, Sample
from kdcli.weights import load_state

CPU = torch.device("cpu")
FIELDS = ("image", "depth", "valid", "instances", "intrinsics", "labelled", "taught")


class Counting:
    """Images with depth, ids and a camera; every third without depth. Counts how often each is asked for."""

    name, depth_kind, has_instances = "counting", "metric", True

    def __init__(self, count: int = 10) -> None:
        self.asked = [0] * count

    def __len__(self) -> int:
        return len(self.asked)

    def __getitem__(self, index: int) -> Sample:
        self.asked[index] += 1
        generator = torch.Generator().manual_seed(index)
        ids = torch.randint(0, 3, (40, 60), generator=generator) * 10**index  # beyond 16 and 32 bits
        depth = None if index % 3 == 0 else torch.rand(1, 40, 60, generator=generator)
        return Sample(
            id=str(index), image=torch.rand(3, 40, 60, generator=generator), depth=depth, instances=ids,
            intrinsics=torch.tensor([50.0, 50.0, 30.0, 20.0]),
        )

    def check(self) -> list[object]:
        return []


def feed(source: object, kept: KeptImages | None, **options: Any) -> Feed:
    return Feed(source, batch_size=4, size=(32, 48), seed=5, device=CPU, kept=kept, **options)  # type: ignore[arg-type]


def equal(one: Batch, two: Batch) -> bool:
    assert one.ids == two.ids
    pairs = [(getattr(one, name), getattr(two, name)) for name in FIELDS]
    return all((a is None and b is None) or (a.dtype == b.dtype and torch.equal(a, b)) for a, b in pairs)


def test_every_image_is_decoded_once_and_comes_out_the_same() -> None:
    source, kept = Counting(), KeptImages(2**30)
    first = list(feed(source, kept).batches(0, 7))
    assert source.asked == [1] * 10
    second = list(feed(source, kept).batches(0, 7))
    assert source.asked == [1] * 10
    anew = list(feed(Counting(), KeptImages(0)).batches(0, 7))
    later = list(feed(Counting(), KeptImages(2**30)).batches(3, 7))
    apart = list(feed(Counting(), KeptImages(2**30), workers=2).batches(0, 7))
    for i, batch in enumerate(first):
        assert equal(batch, second[i]) and equal(batch, anew[i]) and equal(batch, apart[i])
    assert all(equal(batch, first[3 + i]) for i, batch in enumerate(later))


def test_only_the_image_is_rounded() -> None:
    plain = next(feed(Counting(), None).batches(0, 1))
    kept = next(feed(Counting(), KeptImages(2**30)).batches(0, 1))
    assert 0 < float((plain.image - kept.image).abs().max()) <= 0.5 / 255 + 1e-6
    for name in FIELDS[1:]:
        one, two = getattr(plain, name), getattr(kept, name)
        assert (one is None and two is None) or torch.equal(one, two), name


def test_a_source_that_does_not_fit_is_not_kept() -> None:
    wanted = 10 * bytes_for(Counting(), (32, 48))  # type: ignore[arg-type]
    for limit, rounds in ((wanted, 1), (wanted - 1, 2)):
        source, kept = Counting(), KeptImages(limit)
        for _ in range(2):
            list(feed(source, kept).batches_of([range(5), range(5, 10)]))
        assert source.asked == [rounds] * 10


def test_two_sources_share_the_room() -> None:
    kept = KeptImages(15 * bytes_for(Counting(), (32, 48)))  # type: ignore[arg-type]
    one, two = Counting(), Counting()
    for source in (one, two, one, two):
        list(feed(source, kept).batches_of([range(10)]))
    assert one.asked == [1] * 10 and two.asked == [2] * 10


def test_packing_is_exact_for_eight_bits_and_any_id() -> None:
    image = torch.arange(256).view(1, 1, 16, 16).expand(1, 3, 16, 16) / 255
    for top in (0, 2**15 - 1, 2**15, 2**31, 2**40):
        ids = torch.tensor([0, 1, top, 2]).view(1, 2, 2)
        back = unpacked(packed(Batch(ids=("a",), image=image, instances=ids)))
        assert torch.equal(back.image, image.contiguous())
        assert back.instances is not None and torch.equal(back.instances, ids)


def test_a_broken_file_is_one_line_wherever_it_is_read(tmp_path: Path) -> None:
    photo(tmp_path / "a.png", 0)
    (tmp_path / "b.png").write_bytes(b"no picture")
    for workers in (0, 1):
        with pytest.raises(DataError, match=r"b\.png"):
            list(feed(load_source(f"folder:{tmp_path}"), KeptImages(2**30), workers=workers).batches(0, 1))


def test_processes_are_started_where_there_is_use_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "usable_cores", lambda: 16)
    cuda = torch.device("cuda")
    assert workers_for(3, 10, CPU) == 3 and workers_for(0, 10**6, cuda) == 0
    assert workers_for("auto", 500, cuda) == 0
    assert workers_for("auto", 10**6, cuda) == 15 and workers_for("auto", 10**6, CPU) == 4
    monkeypatch.setattr(rooms, "usable_cores", lambda: 2)
    assert workers_for("auto", 10**6, cuda) == 1 and workers_for("auto", 10**6, CPU) == 1
    monkeypatch.setattr(rooms, "usable_cores", lambda: 1)
    assert workers_for("auto", 10**6, cuda) == 0


@pytest.mark.parametrize(
    ("method", "file", "spec", "workers"),
    [
        ("fork", "train.py", None, 1), ("forkserver", "train.py", None, 0), ("spawn", "train.py", None, 0),
        ("spawn", None, None, 1), ("spawn", "/usr/bin/kdcli", None, 1),
        ("forkserver", "/lib/kdcli/__main__.py", "kdcli.__main__", 1),
        ("spawn", "C:/kdcli.exe/__main__.py", "__main__", 1),
    ],
)
def test_no_process_starts_a_users_program_again(
    monkeypatch: pytest.MonkeyPatch, method: str, file: str | None, spec: str | None, workers: int
) -> None:
    main = ModuleType("__main__")
    main.__dict__.update({} if file is None else {"__file__": file})
    main.__spec__ = None if spec is None else ModuleSpec(spec, None)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(rooms, "usable_cores", lambda: 2)
    monkeypatch.setattr("multiprocessing.get_start_method", lambda allow_none: method)
    assert workers_for("auto", 5000, CPU) == workers
    assert workers_for(3, 5000, CPU) == 3


def test_room_is_a_share_of_what_a_container_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int | None] = [None]
    monkeypatch.setattr(rooms, "allowed", lambda: limits[-1])
    monkeypatch.setattr(rooms, "memory", lambda: 2**34)
    assert room() == 2**32
    limits.append(2**30)
    assert room() == 2**28
    monkeypatch.setattr(rooms, "memory", lambda: None)
    limits.append(None)
    assert room() == rooms.LEAST


RECIPE = """
[run]
student = "mobilenet,width=0.35"
export = "none"
[[stage]]
name = "train"
teachers = ["run:TEACHER"]
data = "folder:PHOTOS"
size = "32x48"
batch_size = 4
losses = { l1 = 1.0 }
epochs = 3
log_every = 1
amp = "off"
keep_images = true
teacher_cache = "memory"
teacher_storage = "float32"
"""


def photo(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def recipe(tmp_path: Path, teacher_file: Path) -> Callable[..., RunConfig]:
    """A function that resolves the recipe for twelve pictures."""
    (tmp_path / "photos").mkdir()
    for number in range(12):
        photo(tmp_path / "photos" / f"{number:02d}.png", number)
    text = RECIPE.replace("TEACHER", str(teacher_file)).replace("PHOTOS", str(tmp_path / "photos"))
    return lambda *settings, **flags: load("kept", text, flags, settings)


def batches(config: RunConfig) -> tuple[Workshop, list[Batch]]:
    shop, stage = Workshop(config=config, device=CPU), config.main
    cache = shop.taught(stage)
    return shop, list(shop.feed(stage, cache).batches(0, 6))


@pytest.mark.parametrize("settings", [(), ("crop=32x32",), ("teacher_flip=true", "epochs=4")])
def test_kept_maps_are_what_the_teacher_says(recipe: Callable[..., RunConfig], settings: tuple[str, ...]) -> None:
    config = recipe(*settings)
    shop, found = batches(config)
    (teacher,) = shop.teachers(config.main).values()
    size = (32, 48) if settings == ("crop=32x32",) else (16, 24)
    for batch in found:
        with torch.no_grad():
            said = teacher(batch.image).depth
            if "teacher_flip=true" in settings:
                said = (said + teacher(batch.image.flip(-1)).depth.flip(-1)) / 2
        if size == (32, 48):
            said = torch.nn.functional.interpolate(said, size=size, mode="bilinear", align_corners=False)
        assert batch.taught is not None and batch.taught.shape == (4, 1, *size)
        assert torch.allclose(batch.taught, said, rtol=1e-4)
    cache = shop.taught(config.main)
    assert cache is not None and cache.made == 12


def test_half_precision_is_the_rule(recipe: Callable[..., RunConfig]) -> None:
    one, two = batches(recipe())[1], batches(recipe("teacher_storage=auto"))[1]
    assert one[0].taught is not None and two[0].taught is not None
    assert torch.equal(two[0].taught, one[0].taught.half().float())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (("epochs=1",), "an image is shown 1.0 times"),
        (("steps=9", "teacher_flip=true"), "an image is shown 3.0 times"),
        (("mixers=[\"cutmix\"]",), "cutmix changes the images"),
        (("data=sim:blocks", "steps=6"), "no image comes again"),
    ],
)
def test_teachers_are_asked_where_keeping_saves_nothing(
    recipe: Callable[..., RunConfig], tmp_path: Path, settings: tuple[str, ...], why: str
) -> None:
    config, notes = recipe(*settings), []

    class Notes(Silent):
        def note(self, message: str) -> None:
            notes.append(message)

    assert Workshop(config=config, device=CPU).taught(config.main) is None
    if "sim:" in settings[0]:
        return
    distill(config, out=tmp_path / "run", progress=Notes())
    assert any("teachers are asked in each step" in note and why in note for note in notes)


def test_maps_that_do_not_fit_are_not_kept(
    recipe: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = recipe()
    monkeypatch.setattr("kdcli.training.batches.keeping.room", lambda: 12 * 32 * 48 * 4 - 1)
    assert Workshop(config=config, device=CPU).taught(config.main) is None
    monkeypatch.setattr("kdcli.training.batches.keeping.room", lambda: 12 * 32 * 48 * 4)
    assert Workshop(config=config, device=CPU).taught(config.main) is not None


def test_a_storage_of_files_is_refused(recipe: Callable[..., RunConfig]) -> None:
    config = recipe("teacher_storage=png16")
    with pytest.raises(ConfigError, match="teacher_storage=png16 of stage 'train' is of files"):
        Workshop(config=config, device=CPU).taught(config.main)


@pytest.mark.slow
def test_a_run_repeats_and_goes_on_with_what_is_in_memory(
    recipe: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = recipe("checkpoint_every=4", "teacher_storage=auto", "workers=auto")
    distill(config, out=tmp_path / "whole")

    class Stop(Silent):
        def step(self, log: Any) -> None:
            if log.step == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(config, out=tmp_path / "split", progress=Stop())
    with monkeypatch.context() as less:
        less.setattr("kdcli.training.batches.keeping.room", lambda: 1000)
        with pytest.raises(ConfigError, match="began with its teachers' maps in memory"):
            distill(config, resume=tmp_path / "split")
    distill(config, resume=tmp_path / "split")
    one, two = (load_state(tmp_path / name / "student.safetensors") for name in ("whole", "split"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    manifest = RunFolder(tmp_path / "whole").manifest()
    for name in ("whole", "split"):  # once each, also where maps were made again
        assert RunFolder(tmp_path / name).manifest()["teacher_images"] == {"student.train": 12}
    told = manifest["teacher_cache"]["student.train"]
    assert (told["images"], told["made"], told["caches"][0]["folder"]) == (12, 12, "memory")
    assert manifest["scale"]["student.train"].keys() >= {"kept", "ratio", "spread"}
    rows = RunFolder(tmp_path / "whole").metrics()
    assert len(rows) == 9 and all(row["scale"] > 0 for row in rows)


@pytest.mark.slow
def test_a_folder_of_maps_and_images_in_memory_go_together(recipe: Callable[..., RunConfig], tmp_path: Path) -> None:
    """Maps on the disk are of images as they are decoded, so that runs that keep images and others share them."""
    notes: list[str] = []

    class Notes(Silent):
        def note(self, message: str) -> None:
            notes.append(message)

    folder = tmp_path / "maps"
    distill(recipe(f"teacher_cache={folder}", "keep_images=false"), out=tmp_path / "plain")
    before = {path: load_file(path)["map"] for path in folder.rglob("*.safetensors")}
    distill(recipe(f"teacher_cache={folder}"), out=tmp_path / "kept", progress=Notes())
    assert any("12 maps, 0 made now" in note for note in notes)
    config = recipe(f"teacher_cache={folder}")
    shop = Workshop(config=config, device=CPU)
    cache = shop.taught(config.main)
    gone = next(iter(before))
    gone.unlink()
    for batch in shop.feed(config.main, cache).batches(0, 6):
        assert batch.taught is not None and bool(torch.isfinite(batch.taught).all())
    # Asked alone it differs in the last bit; of the rounded image it would differ by a thousandth.
    assert torch.allclose(load_file(gone)["map"], before[gone], rtol=1e-5)
    assert cache is not None and cache.made == 1 and len(before) == 12


def test_the_dry_run_says_what_memory_it_takes(recipe: Callable[..., RunConfig]) -> None:
    stage = measure(recipe(), CPU)["stages"][0]
    row = stage["teacher_cache"]
    assert (row["folders"], row["images"], row["missing"]) == (["memory"], 12, 12)
    assert stage["teacher_images"] == 12
    assert measure(recipe("teacher_flip=true", "epochs=6"), CPU)["stages"][0]["teacher_images"] == 24
    assert row["bytes"] == 12 * 32 * 48 * 4 and row["seconds"] > 0
