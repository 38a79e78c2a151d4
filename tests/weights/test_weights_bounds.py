"""Files that claim more than they hold, in harmless miniature: no room is made for a claim, the answer is one line."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcli.errors import WeightsError
from kdcli.weights import convert, load_state, modules, read_metadata, save
from kdcli.weights.bounded import MOST_READS
from kdcli.weights.inert import InertUnpickler

ROOM = 4 << 20
"""Bytes that reading a file of a few kilobytes may take; the claims below are for at least a thousand times as many."""

HEAD = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))


def refused(read: Callable[[Path], object], file: Path) -> str:
    """Return the message with which a file is refused, after a look at what that took."""
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError) as caught:
            read(file)
        assert tracemalloc.get_traced_memory()[1] < ROOM
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500 and str(file) in text
    return text


@pytest.fixture(autouse=True, scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let everything be imported that reading imports, so that what is measured is the file's doing."""
    file = tmp_path_factory.mktemp("warm") / "x.pth"
    torch.save({"a": torch.ones(3)}, file)
    convert(file)


READERS: dict[str, Callable[[Path], object]] = {"load": load_state, "convert": convert}

CLAIMS = {
    "bytes": b"\x8e" + (1 << 40).to_bytes(8, "little"),
    "text": b"\x8d" + (1 << 40).to_bytes(8, "little"),
    "text of four": b"X\xff\xff\xff\x7f",
    "bytearray": b"\x96" + (1 << 34).to_bytes(8, "little"),
    "frame": b"\x95" + (1 << 40).to_bytes(8, "little") + b"\x8e" + (1 << 40).to_bytes(8, "little"),
    "number": b"\x8b\xff\xff\xff\x7f",
    "memo": b"Nr\xff\xff\xff\x7fh\x00",
    "keys in keys": b"}" + b")" + b"\x85" * 5000 + b"Ns.",
    "members in members": b"\x8f(" + b")" + b"\x85" * 5000 + b"\x90.",
    "frozen": b"((K\x01\x85\x85t\x91.",
    "digits": b"L" + b"9" * 5000 + b"L\n.",
    "no end": b"(" * 1000,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_what_a_pickle_claims_is_not_believed(tmp_path: Path, name: str, reader: str, zipped: bool) -> None:
    file, body = tmp_path / "x.pth", b"\x80\x04" + CLAIMS[name]
    if zipped:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x/data.pkl", body)
    else:
        file.write_bytes(HEAD + body)
    assert "damaged" in refused(READERS[reader], file)


def test_pieces_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_READS > 1_000_000
    body = b"\x80\x02(" + b"K\x01" * 1000 + b"l."
    assert len(InertUnpickler(io.BytesIO(body)).load()) == 1000
    monkeypatch.setattr("kdcli.weights.bounded.MOST_READS", 500)
    with pytest.raises(pickle.UnpicklingError, match="pieces"):
        InertUnpickler(io.BytesIO(body)).load()


def test_dictionaries_that_share_dictionaries_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred names for each of a hundred: a million places, three hundred dictionaries."""
    inner: dict[str, Any] = {"w": torch.ones(2)}
    for _ in range(3):
        inner = {f"n{i}": inner for i in range(100)}
    torch.save(inner, tmp_path / "x.pth")
    looks: list[Any] = []
    usual = modules.as_mapping

    def look(document: Any) -> Any:
        looks.append(document)
        return usual(document)

    monkeypatch.setattr(modules, "as_mapping", look)
    assert load_state(tmp_path / "x.pth")["w"].tolist() == [1.0, 1.0]
    assert len(looks) < 100


def _members(path: Path, **changes: Any) -> None:
    """Write what torch.save writes, with members changed."""
    stream = io.BytesIO()
    torch.save({"w": torch.arange(1000.0)}, stream)
    with zipfile.ZipFile(stream) as whole, zipfile.ZipFile(path, "w") as archive:
        for info in whole.infolist():
            name = info.filename.partition("/")[2]
            archive.writestr(f"x/{name}", whole.read(info), changes.get(name.replace("/", "_"), zipfile.ZIP_STORED))
        for name in changes.get("more", ()):
            archive.writestr(name, b"")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("reader", READERS)
def test_archives_that_torch_does_not_write(tmp_path: Path, reader: str) -> None:
    read, file = READERS[reader], tmp_path / "x.pth"
    _members(file)
    read(file)
    for compressed in ("data_0", "data.pkl", "byteorder"):
        _members(file, **{compressed.replace("/", "_"): zipfile.ZIP_DEFLATED})
        assert "is compressed" in refused(read, file)
    for again in ("x/data.pkl", "x/data/0", "x/version"):
        _members(file, more=[again])
        assert f"'{again}' is in it twice" in refused(read, file)


@pytest.mark.parametrize("reader", READERS)
def test_archives_whose_directory_lies(tmp_path: Path, reader: str) -> None:
    """Sizes and places in the directory of the archive, which are not those of its members."""
    read, file = READERS[reader], tmp_path / "x.pth"
    _members(file)
    whole = file.read_bytes()
    entry = whole.rindex(b"x/data/0") - 46
    assert whole[entry : entry + 4] == b"PK\x01\x02"
    for place, value, piece in (
        (20, struct.pack("<II", 1 << 31, 1 << 31), "larger than the file"),
        (24, struct.pack("<I", 1 << 31), "compressed"),
        (8, b"\1\0", "encrypted"),
        (42, struct.pack("<I", 0), "shares bytes"), (42, struct.pack("<I", 3), "shares bytes"),
        (16, b"1234", "bad checksum"), (46, b"x/data/1", "not where the archive says"),
    ):
        content = bytearray(whole)
        content[entry + place : entry + place + len(value)] = value
        file.write_bytes(content)
        text = refused(read, file)
        assert piece in text or (piece.startswith("not where") and "KeyError" in text), text


def test_a_changed_number_is_found(tmp_path: Path) -> None:
    _members(tmp_path / "x.pth")
    content = bytearray((tmp_path / "x.pth").read_bytes())
    content[content.index(struct.pack("<2f", 500, 501))] ^= 1
    (tmp_path / "x.pth").write_bytes(content)
    assert "checksum" in refused(load_state, tmp_path / "x.pth")


def test_one_tensor_under_thousands_of_names(tmp_path: Path) -> None:
    big = torch.ones(1).expand(1 << 22)
    torch.save({f"n{i}": big for i in range(100)}, tmp_path / "x.pth")
    assert "tensors of more than" in refused(load_state, tmp_path / "x.pth")
    tied = torch.rand(50_000)
    torch.save({f"n{i}": tied for i in range(4)}, tmp_path / "x.pth")
    assert len(load_state(tmp_path / "x.pth")) == 4


def _header(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def _tensor(begin: int, end: int, shape: Any = (2,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


HEADERS: dict[str, tuple[Any, bytes]] = {
    "larger than it is": ({"a": _tensor(0, 8, [1 << 40])}, b"\0" * 8),
    "product beyond any": ({"a": _tensor(0, 8, [1 << 61] * 60)}, b"\0" * 8),
    "negative": ({"a": _tensor(0, 8, [-2])}, b"\0" * 8),
    "truth for a number": ({"a": _tensor(0, 4, [True])}, b"\0" * 4),
    "backwards": ({"a": _tensor(8, 0, [0])}, b""),
    "overlapping": ({"a": _tensor(0, 8), "b": _tensor(4, 12)}, b"\0" * 12),
    "twice the same": ({"a": _tensor(0, 8), "b": _tensor(0, 8)}, b"\0" * 8),
    "room between": ({"a": _tensor(0, 8), "b": _tensor(12, 20)}, b"\0" * 20),
    "beyond the end": ({"a": _tensor(0, 8)}, b"\0" * 4),
    "bytes after the end": ({"a": _tensor(0, 8)}, b"\0" * 9),
    "one name twice": (b'{"a":%b,"a":%b}' % ((json.dumps(_tensor(0, 8)).encode(),) * 2), b"\0" * 8),
    "metadata twice": (b'{"__metadata__":{"a":"1"},"__metadata__":{"a":"2"}}', b""),
    "metadata that is a list": ({"__metadata__": ["a"]}, b""),
    "metadata of numbers": ({"__metadata__": {"a": 1}}, b""),
    "metadata that is nothing": ({"__metadata__": None}, b""),
    "a number for a tensor": ({"a": 3}, b""),
    "lists in lists": (b'{"a":' + b"[" * 200_000, b""),
    "not UTF-8": (b'{"\xff":1}', b""),
    "half a pair": (b'{"__metadata__":{"a":"\\ud800"},"a":' + json.dumps(_tensor(0, 8)).encode() + b"}", b"\0" * 8),
    "a dtype that is a list": ({"a": _tensor(0, 8) | {"dtype": []}}, b"\0" * 8),
    "three offsets": ({"a": _tensor(0, 8) | {"data_offsets": [0, 4, 8]}}, b"\0" * 8),
    "digits": (b'{"a":' + b"9" * 5000 + b"}", b""),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_are_not_what_the_file_is(tmp_path: Path, name: str) -> None:
    file = tmp_path / "x.safetensors"
    _header(file, *HEADERS[name])
    assert "damaged" in refused(load_state, file)
    if name != "half a pair":
        refused(read_metadata, file)


def test_headers_longer_than_the_file_or_the_format_allows(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    for length in (1 << 63, 1 << 40, 3000):
        _header(file, {"a": _tensor(0, 8)}, b"\0" * 8, length)
        assert f"a header of {length} bytes" in refused(read_metadata, file)
    with file.open("wb") as stream:  # a file with a hole, which takes no room on the disk
        stream.write(struct.pack("<Q", 1 << 32) + b"{")
        stream.truncate((1 << 32) + 8)
    assert f"a header of {1 << 32} bytes" in refused(read_metadata, file)
    save(file, {"a": torch.ones(2), "none": torch.zeros(0, 3)}, {"b": "c"})
    assert load_state(file)["none"].shape == (0, 3) and read_metadata(file)["b"] == "c"
