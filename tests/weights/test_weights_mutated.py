"""Files of ours and of torch, changed by a seeded hand: what reads them gives one line or numbers, nothing else."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdcli.cache.entry import read_entry, write_entry
from kdcli.errors import KdcliError
from kdcli.students.files import load_student, save_student
from kdcli.students.mobilenet import MobileNet
from kdcli.transform import Statistics, TransformNetwork, load, read, save, write
from kdcli.weights import convert, load_state

COUNT, SLOW_COUNT = 60, 20
"""Mutations of each file, and of the one that takes longest to read."""

ODD: list[Any] = [
    None, True, -1, 0, 1e308, float("nan"), 10**30, "", "x" * 5000, "\x1b[31m", "\x00", "\ud800", [], {}, [[]],
    {"a": {}}, ["x"], [1, 2, 3], [2, 1], "///", "[" * 50_000,
]
"""Values that no header has in these places."""

FACTS = {"key": "k", "image": "i", "id": "x"}


def _net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def _statistics(path: Path) -> None:
    parts = {"enc1": torch.rand(4), "b": torch.rand(3)}
    write(Statistics(mean=parts, variance=parts, provenance={"images": 3, "teacher": {"sha256": "a" * 64}}), path)


def _convert(path: Path) -> object:
    return convert(path, path.with_name("out.safetensors"))


Maker = Callable[[Path], object]
FILES: dict[str, tuple[str, Maker, Maker]] = {
    "student": (".safetensors", lambda p: save_student(p, MobileNet(width=0.35), "x", {"size": [9, 9]}), load_student),
    "transform": (".safetensors", lambda p: save(TransformNetwork(width=4, depth=1), p, {"steps": 3}), load),
    "statistics": (".safetensors", _statistics, read),
    "zip": (".pth", lambda p: torch.save({"model": _net().state_dict(), "epoch": 3}, p), load_state),
    "legacy": (".pth", lambda p: torch.save(_net().state_dict(), p, _use_new_zipfile_serialization=False), load_state),
    "module": (".pth", lambda p: torch.save({"model": _net(), "args": 1}, p), _convert),
    "map": (".safetensors", lambda p: write_entry(p, torch.rand(4, 5), "float32", FACTS),
            lambda p: read_entry(p, "float32", FACTS, (4, 5))),
    "picture": (".png", lambda p: write_entry(p, torch.rand(4, 5), "png16", FACTS),
                lambda p: read_entry(p, "png16", FACTS, (4, 5))),
}


def _places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value in a JSON document."""
    listed = enumerate(document) if isinstance(document, list) else ()
    for key, value in document.items() if isinstance(document, dict) else listed:
        yield (*place, key)
        yield from _places(value, (*place, key))


def _header(content: bytes, draw: random.Random) -> bytes:
    """Change a value in the header of a safetensors file, or in a JSON text in its metadata."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header["__metadata__"]
    texts = [key for key, text in metadata.items() if text.startswith("{")]
    inner = draw.choice(texts) if texts and draw.random() < 0.6 else None
    document = header if inner is None else json.loads(metadata[inner])
    *way, last = draw.choice(list(_places(document)))
    holder = document
    for key in way:
        holder = holder[key]
    holder[last] = draw.choice(ODD)
    if inner is not None:
        metadata[inner] = json.dumps(document)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def _mutated(content: bytes, draw: random.Random, safetensors: bool) -> bytes:
    kind, changed = draw.randrange(4), bytearray(content)
    if kind == 0:
        for _ in range(draw.choice((1, 1, 3, 20))):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del changed[draw.randrange(len(changed)):]
    elif kind == 2 or not safetensors:
        for _ in range(draw.choice((1, 2, 4))):  # near the beginning, where what is said of the rest lies
            changed[draw.randrange(min(len(changed), 3000))] = draw.randrange(256)
    else:
        return _header(content, draw)
    return bytes(changed)


@pytest.mark.parametrize("name", FILES)
def test_every_change_gives_one_line_or_sound_numbers(tmp_path: Path, name: str) -> None:
    suffix, make, reading = FILES[name]
    torch.manual_seed(0)
    whole, file, draw = tmp_path / f"whole{suffix}", tmp_path / f"x{suffix}", random.Random(name)
    make(whole)
    reading(whole)
    content, refused = whole.read_bytes(), 0
    count = SLOW_COUNT if name == "student" else COUNT
    for _ in range(count):
        file.write_bytes(_mutated(content, draw, suffix == ".safetensors"))
        try:
            reading(file)
        except KdcliError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 700
    assert refused > count // 4
