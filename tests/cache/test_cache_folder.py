from __future__ import annotations

import json
import multiprocessing
import pickle
from pathlib import Path

import pytest
import torch
from cache_doubles import Brightness, key, picture

from kdcli.cache import CacheFolder, open_store, room_for, shown
from kdcli.errors import ConfigError, DataError
from kdcli.types import DepthKind, ReadOut

GRID = torch.linspace(1, 9, 48).view(6, 8)


def test_a_map_is_found_by_the_content_of_its_image(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path / "c", key())
    folder.note("photos", {"count": 1, "done": 0, "sha256": ""})
    folder.write(picture(0), GRID)
    again = pickle.loads(pickle.dumps(CacheFolder(tmp_path / "c", key())))
    assert torch.allclose(again.look(picture(0)), GRID, atol=1e-4)
    with pytest.raises(DataError, match="does not exist"):
        again.look(picture(1))
    changed = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))
    changed[0, 0, 0] += 2 / 255
    with pytest.raises(DataError, match="does not exist"):
        again.look(shown("day/0.png", changed))
    copied = folder.file(picture(1))
    copied.parent.mkdir(parents=True, exist_ok=True)
    copied.write_bytes(folder.file(picture(0)).read_bytes())
    with pytest.raises(DataError, match="another image"):
        folder.look(picture(1))


def test_the_focal_length_counts_only_for_teachers_that_scale_by_it(tmp_path: Path) -> None:
    plain = CacheFolder(tmp_path / "p", key())
    scaled = CacheFolder(tmp_path / "s", key(Brightness(read=ReadOut(focal=700.0))))
    one, two = picture(0, focal=500.0), picture(0, focal=600.0)
    assert plain.file(one) == plain.file(two)
    assert scaled.file(one) != scaled.file(two)


def test_every_part_of_the_key_counts() -> None:
    others = [
        key(Brightness(slope=7.0)), key(size=(8, 6)), key(flip="true"), key(storage="float16"),
        key(Brightness(read=ReadOut(clip=(1.0, 2.0)))), key(Brightness(DepthKind.SCALE_INVARIANT)),
    ]
    assert len({one.digest for one in (key(), *others)}) == 1 + len(others)
    assert key(Brightness(read=ReadOut(flip=True))).digest == key(flip="true").digest
    assert key().digest == key(Brightness().to(memory_format=torch.channels_last)).digest


def test_numbers_of_unknown_offset_are_kept_as_floats() -> None:
    disparity = Brightness(DepthKind.AFFINE_DISPARITY)
    assert key(disparity).storage == "float16" and key().storage == "png16"
    with pytest.raises(ConfigError, match="use float16 or float32"):
        key(disparity, storage="png16")


def test_another_key_is_refused_in_words(tmp_path: Path) -> None:
    CacheFolder(tmp_path, key()).note("photos", {"count": 3, "done": 1, "sha256": ""})
    assert CacheFolder(tmp_path, key()).done("photos", 3)["done"] == 1
    assert CacheFolder(tmp_path, key()).done("photos", 4)["done"] == 0
    for other, message in (
        (key(Brightness(slope=7.0)), "is of teacher 'bright'"),
        (key(size=(12, 8)), "6x8 pixels, not 12x8"),
        (key(flip="true"), "flip False, not True"),
        (key(storage="float32"), "storage png16, not float32"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            CacheFolder(tmp_path, other)
        assert "\n" not in str(caught.value)


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="no teacher cache"):
        CacheFolder(tmp_path, key())
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        CacheFolder(tmp_path, key())
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "x/9", "key": {}, "sources": {}}))
    with pytest.raises(ConfigError, match="format x/9"):
        CacheFolder(tmp_path, key())


def test_where_auto_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path))
    store = open_store("auto", key(), source="photos")
    assert store.path.parent == tmp_path / "teachers" and store.path.name == f"bright-{key().digest}"
    assert open_store("auto", key(size=(8, 6)), source="photos").path != store.path
    several = open_store(str(tmp_path / "mine"), key(), source="photos", alone=False)
    assert several.path.parent == tmp_path / "mine"


def test_what_does_not_fit_is_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CacheFolder(tmp_path / "not" / "yet", key(size=(352, 1216)))
    assert store.bytes_for(1000) == pytest.approx(1000 * 352 * 1216 * 2, rel=0.01)
    monkeypatch.setattr("kdcli.cache.place.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**9}))
    room_for([(store, 1000)])
    with pytest.raises(ConfigError, match=r"takes up to 1.72 GB and .* has 1 GB free"):
        room_for([(store, 2000)])


def test_of_two_keys_that_begin_a_folder_at_once_one_has_it(tmp_path: Path) -> None:
    row = {"count": 1, "done": 0, "sha256": ""}
    first, second = (CacheFolder(tmp_path / "c", key(Brightness(slope=slope))) for slope in (8.0, 9.0))
    first.note("photos", row)
    before = (tmp_path / "c" / "manifest.json").read_bytes()
    with pytest.raises(ConfigError, match="use another folder"):
        second.note("photos", row)
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["manifest.json"]
    assert (tmp_path / "c" / "manifest.json").read_bytes() == before


def _notes(folder: Path, name: str) -> None:
    store = CacheFolder(folder, key())
    for done in range(40):
        store.note(name, {"count": 40, "done": done + 1, "sha256": ""})


def test_processes_that_fill_one_folder_lose_no_note(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    names = ["a", "b", "c"]
    racing = [context.Process(target=_notes, args=(tmp_path / "c", name)) for name in names]
    for process in racing:
        process.start()
    for process in racing:
        process.join(120)
    assert [process.exitcode for process in racing] == [0, 0, 0]
    store = CacheFolder(tmp_path / "c", key())
    assert [store.done(name, 40)["done"] for name in names] == [40, 40, 40]
