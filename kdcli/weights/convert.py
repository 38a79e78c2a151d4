"""Bring any checkpoint to safetensors, also one that pickles whole modules, without running anything in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kdcli.errors import ConfigError, WeightsError
from kdcli.files import sha256_of
from kdcli.weights.modules import Found, find
from kdcli.weights.sort import broken, sort_of
from kdcli.weights.state import load_state, read_metadata, save, without_prefix
from kdcli.weights.table import converted, entry_of
from kdcli.weights.torch_file import TorchFile

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
    """Which part of the source: ``'model' (models.ResNet)``; empty for safetensors."""
    left: tuple[str, ...]
    """Other parts that hold tensors and were not taken."""


def convert(source: Path | str, out: Path | None = None) -> Converted:
    """Write the tensors of a checkpoint as safetensors, with the names that ``load_state`` gives them.

    A pickle is read with stand-ins for every object in it; of whole modules it is what their ``state_dict()`` would
    give that is written.

    Args:
        source: what ``load_state`` reads, or a file that it refuses because of the objects in it.
        out: the file to write; beside the source when None.

    Raises:
        WeightsError: the source is missing, damaged, or holds no tensors.
        ConfigError: the output is the source, or has another suffix.
    """
    source = Path(source)
    out = source.with_name(converted(source.name)) if out is None else out
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out '{out}' is to be a .safetensors file; give it that suffix")
    if source.exists() and out.exists() and source.samefile(out):
        raise ConfigError(f"'{source}' would be replaced by its own conversion; give another --out")
    parts: list[Found] = []
    if sort_of(source) == "pickle":
        state, parts = _unpickle(source)
    else:
        state = load_state(source)
    taken, *left = [str(part) for part in parts] or [""]
    parameters = parts[0].parameters if parts else None
    if parameters is None:
        parameters = frozenset(name for name in state if not name.endswith(_STATISTICS))
    source_sha256 = sha256_of(source)
    known = entry_of(source)
    terms = {"licence": known.licence, "training_data": known.training_data, "weights": known.name} if known else {}
    own = {key: value for key, value in read_metadata(source).items() if key != "format"}
    facts = {"source": source.name, "source_sha256": source_sha256, "source_part": taken, **terms}
    save(out, without_prefix(state), own | {key: value for key, value in facts.items() if value})
    return Converted(
        path=out, sha256=sha256_of(out), tensors=len(state), parameters=sum(state[name].numel() for name in parameters),
        source=source, source_sha256=source_sha256, taken=taken, left=tuple(left),
    )


def _unpickle(path: Path) -> tuple[dict[str, Tensor], list[Found]]:
    """Read the tensors of a pickle with stand-ins; return also the parts that it has, the one that was taken first."""
    try:
        with TorchFile(path) as file:
            parts = find(file.document)
            if not parts:
                raise WeightsError(f"'{path}' holds no tensors that have names; give a checkpoint of a network")
            return {name: file.tensor(value) for name, value in parts[0].tensors.items()}, parts
    except WeightsError as error:
        text = str(error)
        raise WeightsError(text if text.startswith(f"'{path}'") else f"'{path}' cannot be converted: {text}") from None
    except Exception as error:  # a pickle that was damaged, or made to do damage, can fail in any way
        raise broken(path, error) from error
