"""Take the known members out of a ``.pt2`` archive, and put them into a new one that PyTorch may read.

PyTorch's reader and this one can disagree on what a zip file holds (two members of one name, names that differ in
their case, what a header says of a size). So it never sees the file itself: what was read and inspected here is
written anew, and nothing else.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from kdcli.errors import WeightsError
from kdcli.guard.payload import plain_payload
from kdcli.guard.program import plain_program
from kdcli.guard.words import Refused
from kdcli.text import line

NOTES = "extra/kdcli.json"
"""The member with kdcli's own metadata."""

_PROGRAM = "models/model.json"
_CONFIGS = {
    "data/weights/": "data/weights/model_weights_config.json",
    "data/constants/": "data/constants/model_constants_config.json",
}
_DOCUMENTS = (_PROGRAM, *_CONFIGS.values(), NOTES)
_SMALL = ("archive_format", "archive_version", "byteorder", ".data/version", "version", ".format_version",
          ".storage_alignment", ".data/serialization_id")  # fmt: skip
_UNUSED = "data/sample_inputs/model.pt"
_TENSOR = re.compile(r"data/(?:weights/weight|constants/tensor)_[0-9]{1,6}")

_MOST = {**dict.fromkeys(_DOCUMENTS, 1 << 26), NOTES: 1 << 20, **dict.fromkeys(_SMALL, 64)}
"""Most bytes of a member that is read as text."""

_MEMBERS = 20_000
_GROWTH, _SPARE = 8, 1 << 26
"""An archive may unpack to this many times its size, and this many bytes more."""


def read_archive(path: Path) -> tuple[io.BytesIO, dict[str, str]]:
    """Return an archive of nothing but plain computation for ``torch.export.load``, and kdcli's metadata in it.

    Raises:
        WeightsError: the file is no such archive, is damaged, or holds anything else.
    """
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            found = _members(archive, path.stat().st_size)
            texts = {name: _read(archive, info) for name, info in found.items() if name in _MOST}
            documents = {name: _json(name, texts[name]) for name in _DOCUMENTS if name in texts}
            notes = documents.pop(NOTES, {})
            if not isinstance(notes, dict) or not all(isinstance(value, str) for value in notes.values()):
                raise Refused("holds other metadata than texts")
            documents[_PROGRAM] = plain_program(documents[_PROGRAM])
            for folder, name in _CONFIGS.items():
                sizes = {n.removeprefix(folder): i.file_size for n, i in found.items() if n.startswith(folder)}
                documents[name] = plain_payload(documents[name], sizes)
            return _rebuilt(archive, found, documents, texts), notes
    except Refused as refused:
        raise WeightsError(
            f"'{path}' {line(refused)}, and is not opened because that could run code; "
            "export the model again, or as ONNX"
        ) from refused
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, OSError, EOFError, RecursionError,
            NotImplementedError, RuntimeError, AttributeError) as error:  # fmt: skip
        detail = line(error, 120) or type(error).__name__
        raise WeightsError(f"'{path}' is no exported program, or is damaged ({detail}); export it again") from error


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by their name below the root folder, after a look at what the directory says of each.

    Raises:
        Refused: another name than those of the format, one name twice, or sizes that no export has.
    """
    infos = archive.infolist()
    if not infos or len(infos) > _MEMBERS:
        raise Refused(f"has {len(infos)} members")
    root = infos[0].filename.partition("/")[0]
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        top, _, name = info.filename.partition("/")
        if top != root or not (name in _MOST or name == _UNUSED or _TENSOR.fullmatch(name)):
            raise Refused(f"holds '{info.filename[:80]}', which no export of kdcli does")
        if name in found:
            raise Refused(f"holds '{name}' twice")
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused(f"has '{name}' encrypted or packed in a way that no export uses")
        if info.file_size > _MOST.get(name, info.file_size):
            raise Refused(f"says that '{name}' has {info.file_size} bytes")
        found[name] = info
    packed, unpacked = (sum(getattr(i, key) for i in infos) for key in ("compress_size", "file_size"))
    if packed > size or unpacked > _GROWTH * size + _SPARE:
        raise Refused(f"says that its {size} bytes unpack to {unpacked}")
    return found


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return a member's bytes, exactly as many as were announced."""
    with archive.open(info) as stream:
        data = stream.read(info.file_size)
        if len(data) != info.file_size or stream.read(1):
            raise zipfile.BadZipFile(f"'{info.filename}' has another size than announced")
    return data


def _json(name: str, data: bytes) -> Any:
    document = json.loads(data.decode("utf-8"))
    if not isinstance(document, dict):
        raise ValueError(f"'{name}' is no table")
    return document


def _rebuilt(
    archive: zipfile.ZipFile, found: Mapping[str, zipfile.ZipInfo], documents: Mapping[str, Any],
    texts: Mapping[str, bytes],
) -> io.BytesIO:  # fmt: skip
    """Return an archive of the inspected documents and the bytes of the tensors."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as new:
        for name, document in documents.items():
            new.writestr(f"program/{name}", json.dumps(document))
        for name in _SMALL:
            if name in texts:
                new.writestr(f"program/{name}", texts[name])
        new.writestr(f"program/{_UNUSED}", _sample())
        for name, info in found.items():
            if _TENSOR.fullmatch(name):
                _copy(archive, info, new, f"program/{name}")
    made.seek(0)
    return made


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, new: zipfile.ZipFile, name: str) -> None:
    """Copy one member's announced bytes, a piece at a time."""
    written = zipfile.ZipInfo(name)
    written.file_size = info.file_size
    left = info.file_size
    with archive.open(info) as source, new.open(written, "w", force_zip64=info.file_size >= 1 << 31) as target:
        while left:
            left -= _piece(source, target, min(left, 1 << 22))  # type: ignore[arg-type]
        if source.read(1):
            raise zipfile.BadZipFile(f"'{info.filename}' has another size than announced")


def _piece(source: BinaryIO, target: BinaryIO, most: int) -> int:
    piece = source.read(most)
    if not piece:
        raise zipfile.BadZipFile("it ends too soon")
    target.write(piece)
    return len(piece)


def _sample() -> bytes:
    """Return sample inputs as every export of kdcli has them, one image; those of the file are never opened."""
    import torch

    stream = io.BytesIO()
    torch.save(((torch.zeros(1, 3, 1, 1),), {}), stream)
    return stream.getvalue()
