"""Bring any checkpoint to safetensors, also one that pickles whole modules, without running anything in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kdcli.errors import ConfigError, WeightsError
from kdcli.files import sha256_of
from kdcli.weights.choice import asked_for, networks
from kdcli.weights.installed import installed
from kdcli.weights.modules import Found, find, in_order, readable
from kdcli.weights.reading import load_tensors, read_metadata
from kdcli.weights.sort import sort_of
from kdcli.weights.state import save
from kdcli.weights.table import converted, entry_of, folders
from kdcli.weights.torch_file import opened
from kdcli.weights.wrappers import without_prefix

if TYPE_CHECKING:
    from torch import Tensor

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a conversion made, and of what."""

    path: Path
    sha256: str
    tensors: int
    parameters: int
    """Numbers in them that are learned: without statistics of batch norm, and without other buffers where known."""
    source: Path
    source_sha256: str
    taken: str
    """Which part of the source: ``'model' (models.ResNet)``; empty for all of a safetensors file."""
    left: tuple[str, ...]
    """Other parts that hold tensors and were not taken."""
    choices: tuple[str, ...]
    """Keys of the other networks in the source, each of which ``part`` would take."""
    prefix: str
    """What stood before every name and was taken off; empty for nothing."""
    not_finite: int
    """Numbers that are none: not-a-number or infinity."""
    not_finite_in: str | None
    """The first tensor that has some."""


def convert(source: Path | str, out: Path | None = None, part: str | None = None) -> Converted:
    """Write the tensors of a checkpoint as safetensors, with the names that ``load_state`` gives them.

    A pickle is read with stand-ins for every object in it; of whole modules it is what their ``state_dict()`` would
    give that is written. Of several networks the one under the most usual key is taken, then the largest.

    Args:
        source: what ``load_state`` reads, or a file that it refuses because of the objects in it.
        out: the file to write; beside the source when None, or in the first of our folders where the source lies in an
            installed distribution.
        part: key of the network to take: ``ema``, or with all keys above it.

    Raises:
        WeightsError: the source is missing, damaged, or holds no tensors, or not the part.
        ConfigError: the output is the source, or has another suffix.
    """
    source = Path(source)
    out = beside(source) if out is None else out
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out '{out}' is to be a .safetensors file; give it that suffix")
    if source.exists() and out.exists() and source.samefile(out):
        raise ConfigError(f"'{source}' would be replaced by its own conversion; give another --out")
    state, found, parts = _read(source, part)
    names, prefix = without_prefix(state)
    parameters = found.parameters
    if parameters is None:
        parameters = frozenset(name for name in state if not name.endswith(_STATISTICS))
    not_finite = {name: count for name, value in names.items() if (count := _not_finite(value))}
    source_sha256 = sha256_of(source)
    known = entry_of(source)
    terms = {"licence": known.licence, "training_data": known.training_data, "weights": known.name} if known else {}
    own = {key: value for key, value in read_metadata(source).items() if key != "format"}
    taken = "" if sort_of(source) == "safetensors" and not found.key else str(found)
    facts = {
        "source": source.name, "source_sha256": source_sha256, "source_part": taken, "source_prefix": prefix, **terms,
    }
    save(out, names, own | {key: value for key, value in facts.items() if value})
    return Converted(
        path=out, sha256=sha256_of(out), tensors=len(state), parameters=sum(state[name].numel() for name in parameters),
        source=source, source_sha256=source_sha256, taken=taken, prefix=prefix,
        left=tuple(str(other) for other in parts if other is not found),
        choices=tuple(other.key for other in networks(parts) if other is not found and other.key),
        not_finite=sum(not_finite.values()), not_finite_in=next(iter(not_finite), None),
    )


def beside(source: Path) -> Path:
    """Return where a conversion goes that is not told where."""
    known = entry_of(source)
    brought = known is not None and known.distribution and source == installed(known.distribution, known.file)
    return (folders()[0] if brought else source.parent) / converted(source.name)


def _read(path: Path, part: str | None) -> tuple[dict[str, Tensor], Found, list[Found]]:
    """Return the tensors of the part that is taken, that part, and all there are."""
    if sort_of(path) == "safetensors":
        tensors = load_tensors(path)
        if not tensors:
            raise WeightsError(f"'{path}' holds no tensors by name; give a checkpoint of a network")
        parts = in_order([Found(key="", kind="", tensors=tensors, parameters=None)])
        found = asked_for(parts, part, path) if part else parts[0]
        return dict(found.tensors), found, parts
    with opened(path) as file:
        parts = find(file.document)
        if not parts:
            raise WeightsError(f"'{path}' holds no tensors that have names; give a checkpoint of a network")
        found = asked_for(parts, part, path) if part else networks(parts)[0]
        return file.tensors(readable(found)), found, parts


def _not_finite(value: Tensor) -> int:
    if not (value.is_floating_point() or value.is_complex()):
        return 0
    # Types of eight bits have no test of their own.
    return int((~(value.float() if value.itemsize == 1 else value).isfinite()).sum())
