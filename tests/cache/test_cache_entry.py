from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file

from kdcli.cache.entry import LARGEST, Storage, read_entry, suffix_of, write_entry
from kdcli.errors import DataError

FACTS = {"id": "a.png", "key": "k", "image": "i"}
SIZE = (24, 32)
ALL: tuple[Storage, ...] = ("png16", "float16", "float32")


def depth() -> torch.Tensor:
    grid = 0.5 + 79.5 * torch.rand(SIZE, generator=torch.Generator().manual_seed(0))
    grid[3:5, 4:9] = 0
    return grid


def there(folder: Path, storage: Storage) -> Path:
    path = folder / f"map{suffix_of(storage)}"
    write_entry(path, depth(), storage, FACTS)
    return path


@pytest.mark.parametrize(
    ("storage", "off"), [("png16", 80 / LARGEST / 2 * 1.001), ("float16", 80 / 2048), ("float32", 0.0)]
)
def test_a_map_comes_back(tmp_path: Path, storage: Storage, off: float) -> None:
    back = read_entry(there(tmp_path, storage), storage, FACTS, SIZE)
    assert back.dtype == torch.float32
    assert float((back - depth()).abs().max()) <= off
    assert torch.equal(back == 0, depth() == 0)


def test_what_is_near_stays_known_beside_what_is_far(tmp_path: Path) -> None:
    write_entry(tmp_path / "a.png", torch.tensor([[80.0, 1e-5, 0.0]]), "png16", FACTS)
    assert (read_entry(tmp_path / "a.png", "png16", FACTS, (1, 3)) > 0).tolist() == [[True, True, False]]
    write_entry(tmp_path / "a.safetensors", torch.tensor([[80.0, -1e-9, 0.0]]), "float16", FACTS)
    signs = read_entry(tmp_path / "a.safetensors", "float16", FACTS, (1, 3)).sign()
    assert signs.tolist() == [[1.0, -1.0, 0.0]]


def test_half_precision_refuses_what_it_does_not_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="teacher_storage=float32"):
        write_entry(tmp_path / "a.safetensors", torch.full((2, 2), 1e5), "float16", FACTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("storage", ALL)
def test_what_is_not_right_is_refused(tmp_path: Path, storage: Storage) -> None:
    path = there(tmp_path, storage)
    whole = path.read_bytes()
    for facts, size, message in (
        ({**FACTS, "key": "other"}, SIZE, "another teacher"),
        ({**FACTS, "image": "other"}, SIZE, "another image"),
        (FACTS, (32, 24), "24x32, not 32x24"),
    ):
        with pytest.raises(DataError, match=message):
            read_entry(path, storage, facts, size)
    for broken in (b"", whole[:40], whole[: len(whole) // 2], whole[:-40], b"hello"):
        path.write_bytes(broken)
        with pytest.raises(DataError):
            read_entry(path, storage, FACTS, SIZE)
    flipped = bytearray(whole)
    flipped[-200] ^= 0x10
    path.write_bytes(flipped)
    with pytest.raises(DataError):
        read_entry(path, storage, FACTS, SIZE)
    path.unlink()
    with pytest.raises(DataError, match="does not exist"):
        read_entry(path, storage, FACTS, SIZE)


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.ones(SIZE, np.uint16)).save(tmp_path / "plain.png")
    with pytest.raises(DataError, match="mode L"):
        read_entry(tmp_path / "grey.png", "png16", FACTS, SIZE)
    with pytest.raises(DataError, match="does not say what it is of"):
        read_entry(tmp_path / "plain.png", "png16", FACTS, SIZE)


@pytest.mark.parametrize("note", ["", "3", "[]", "[" * 200_000, '{"key": {"a": []}}'])
def test_notes_that_are_none_are_refused(tmp_path: Path, note: str) -> None:
    save_file({"map": torch.ones(SIZE)}, tmp_path / "a.safetensors", metadata={"kdcli": note})
    with pytest.raises(DataError, match="delete it"):
        read_entry(tmp_path / "a.safetensors", "float32", FACTS, SIZE)


@pytest.mark.parametrize("step", [None, "a", "0", "-1", "nan", "inf", [], {}])
def test_a_picture_whose_units_are_none_is_refused(tmp_path: Path, step: object) -> None:
    path = there(tmp_path, "png16")
    with Image.open(path) as image:
        image.load()
        told, notes = json.loads(image.info["kdcli"]) | {"step": step}, PngImagePlugin.PngInfo()
        notes.add_text("kdcli", json.dumps(told))
        image.save(path, pnginfo=notes)
    with pytest.raises(DataError, match="does not say what its units are"):
        read_entry(path, "png16", FACTS, SIZE)


def test_a_file_without_a_map_is_refused(tmp_path: Path) -> None:
    for tensors in ({"other": torch.ones(SIZE)}, {"map": torch.ones(3)}, {"map": torch.ones(SIZE).long()}):
        save_file(tensors, tmp_path / "a.safetensors", metadata={"kdcli": json.dumps(FACTS)})
        with pytest.raises(DataError, match="holds no map of half or single precision"):
            read_entry(tmp_path / "a.safetensors", "float32", FACTS, SIZE)


def test_not_a_number_is_refused(tmp_path: Path) -> None:
    import zlib

    grid = torch.full(SIZE, torch.nan)
    note = {**FACTS, "crc": zlib.crc32(grid.numpy().data)}
    save_file({"map": grid}, tmp_path / "a.safetensors", metadata={"kdcli": json.dumps(note)})
    with pytest.raises(DataError, match="other than numbers"):
        read_entry(tmp_path / "a.safetensors", "float32", FACTS, SIZE)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Image.Image, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left on device"):
        there(tmp_path, "png16")
    assert list(tmp_path.iterdir()) == []
