"""What a file says of itself, beside it, for formats that have no place for that inside.

It holds the hashes of what it lies beside, too: native readers trust a file's own lengths and offsets, so one that was
cut or changed on its way never reaches them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from kdcli.documents import Each, read_json
from kdcli.errors import WeightsError
from kdcli.files import sha256_of

_SHAPE = {"sha256": Each(str), "takes": {"batch": (int, None), "size": ([int, int], None)}, "metadata": Each(str)}


def sidecar_of(path: Path) -> Path:
    """Return where the metadata of a file lies: ``small.tflite.json`` beside ``small.tflite``."""
    return path.with_name(f"{path.name}.json")


def write_sidecar(
    path: Path, metadata: Mapping[str, str], *, batch: int | None, size: tuple[int, int] | None,
    parts: Sequence[Path] = (),
) -> None:
    """Write the metadata of a file, and what the file takes, beside it. None: of any number, of any size.

    parts: further files beside it, which belong to it.
    """
    taken = {"batch": batch, "size": None if size is None else list(size)}
    hashes = {one.name.removeprefix(path.stem): sha256_of(one) for one in (path, *parts)}
    text = json.dumps({"takes": taken, "sha256": hashes, "metadata": dict(metadata)}, indent=1)
    sidecar_of(path).write_text(text + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> tuple[dict[str, str], int | None, tuple[int, int] | None]:
    """Return metadata, fixed batch and fixed height and width of a file; None where they are open.

    Raises:
        WeightsError: there is no such file beside it, it is damaged, or does not fit what it lies beside.
    """
    beside = sidecar_of(path)
    if not beside.is_file():
        raise WeightsError(f"'{beside}' is missing, which says what '{path.name}' takes; bring both along")
    known = read_json(beside, _SHAPE, "export it again", error=WeightsError)
    batch, size = known["takes"]["batch"], known["takes"]["size"]
    if min([1 if batch is None else batch, *(size or ())]) < 1:
        raise WeightsError(f"'{beside}' is damaged: it takes {batch} images of {size}; export it again")
    for ending, wanted in known["sha256"].items():
        part = path.with_name(path.stem + ending)
        if not part.is_file():
            raise WeightsError(f"'{part}' is missing, which belongs to '{path.name}'; bring all files along")
        if sha256_of(part) != wanted:
            raise WeightsError(f"'{part}' is not the file that '{beside.name}' was written for; export it again")
    return dict(known["metadata"]), batch, None if size is None else (size[0], size[1])


def outputs_in(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of what a file gives, as its metadata says, depth first."""
    return ("depth", "std", "entropy") if "std" in metadata.get("outputs", "") else ("depth",)
