"""Which files of a folder are predictions, by name; those that ``kdcli predict`` wrote say what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdcli.codecs import Codec
from kdcli.errors import DataError
from kdcli.files import at_home
from kdcli.images import DEPTH_SUFFIXES
from kdcli.sources.file_names import natural_key, prefix_of, with_endings
from kdcli.sources.listing import list_paths, read_json
from kdcli.sources.matching import by_name
from kdcli.types import DepthKind

_RAW = (".raw", ".bin")
"""Endings of files that are nothing but numbers."""
_BEST_FIRST = (".npy", ".npz", ".exr", ".pfm", ".dpt", ".raw", ".bin", ".tif", ".tiff", ".pgm", ".png")
"""Which file is taken where one name has several: numbers before pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where one prediction lies.

    index: position on the first axis of an array of many. told: step and offset that ``kdcli predict`` says, value =
    stored * step + offset and 0 is none; None where another tool wrote it. input: the photograph that it names.
    """

    path: Path
    index: int | None = None
    told: tuple[float, float] | None = None
    input: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The predictions of a folder by name, in natural order. kind: what sidecars say; None where there are none."""

    files: Mapping[str, Stored]
    kind: DepthKind | None = None


def find_predictions(location: str, codec: Codec) -> Found:
    """Return what lies in a folder and below it, or in one NPY file of many maps.

    Raises:
        DataError: no such folder, nothing in it that is read, or sidecars that do not agree.
    """
    root = at_home(location)
    if root.is_file():
        return _stack(root)
    if not root.is_dir():
        raise DataError(f"'{location}' does not exist; give a folder of predictions, or an NPY file of N x H x W")
    own: list[str] = []
    files = list_paths(root, None, recursive=True, own=own)
    sidecars = [path for path in own if path.endswith(".json")]
    if sidecars:
        return _told(root, [Path(path) for path in sorted(sidecars, key=natural_key)])
    wanted = {f".{ending}" for ending in codec.containers}
    wanted |= set(_RAW) if codec.headerless else DEPTH_SUFFIXES
    # Of a tool that writes several kinds of files, those that the encoding is usually in.
    usual = tuple(f".{ending}" for ending in codec.containers)
    fitting = (with_endings(files, usual) if usual else []) or with_endings(files, tuple(wanted))
    if not fitting:
        endings = ", ".join(sorted({Path(path).suffix.lower() or Path(path).name for path in files})[:5])
        holds = f", it holds {endings}" if endings else ""
        raw = "; floats without a header are read with codec=headerless,size=HxW" if not codec.headerless else ""
        raise DataError(f"'{location}' has no predictions ({', '.join(sorted(wanted))}){holds}{raw}")
    named = by_name(fitting, prefix_of(root))
    return Found(files={name: Stored(path=Path(_best(named.of(name)))) for name in named.first})


def _best(paths: Sequence[str]) -> str:
    order = {ending: i for i, ending in enumerate(_BEST_FIRST)}
    return min(paths, key=lambda path: (order.get(Path(path).suffix.lower(), len(order)), path))


def _told(root: Path, sidecars: Sequence[Path]) -> Found:
    files: dict[str, Stored] = {}
    kinds: dict[DepthKind, Path] = {}
    for path in sidecars:
        said = read_json(path)
        kind = next((one for one in DepthKind if one == said.get("depth_kind")), None)
        stored = _of_sidecar(path, said)
        if kind is None or stored is None:
            raise DataError(f"'{path}' does not say which depth lies beside it, or not of which kind; predict it again")
        kinds.setdefault(kind, path)
        files[path.relative_to(root).with_suffix("").as_posix()] = stored
    if len(kinds) > 1:
        told = " and ".join(f"'{path.name}' {kind}" for kind, path in kinds.items())
        raise DataError(f"'{root}' has predictions of several kinds ({told}); give one folder for each model")
    return Found(files=files, kind=next(iter(kinds)))


def _of_sidecar(path: Path, said: Mapping[str, Any]) -> Stored | None:
    """Return the depth beside a sidecar: floats, else whole numbers with their step."""
    source = str(said["input"]) if isinstance(said.get("input"), str) else None
    if isinstance(npy := said.get("npy"), str):
        return Stored(path=path.with_name(Path(npy).name), told=(1.0, 0.0), input=source)
    numbers = [said.get("step"), said.get("offset")]
    if isinstance(png := said.get("png"), str) and all(isinstance(one, int | float) for one in numbers):
        step, offset = (float(one) for one in numbers if one is not None)
        return Stored(path=path.with_name(Path(png).name), told=(step, offset), input=source)
    return None


def _stack(path: Path) -> Found:
    """Return the maps of an NPY file of N x H x W or N x 1 x H x W; their names are their positions."""
    from kdcli.rasters.arrays import array_shape

    if path.suffix.lower() != ".npy":
        raise DataError(f"'{path}' is no NPY file of N x H x W; give it, or the folder of predictions")
    shape = array_shape(path)
    shape = (shape[0], *shape[2:]) if len(shape) == 4 and shape[1] == 1 else shape
    shape = shape[:3] if len(shape) == 4 and shape[3] == 1 else shape
    if len(shape) != 3 or not all(shape):
        said = "x".join(map(str, array_shape(path))) or "()"
        raise DataError(f"'{path}' has shape {said}, which is not N x H x W or N x 1 x H x W; store one map an image")
    return Found(files={str(i): Stored(path=path, index=i) for i in range(shape[0])})
