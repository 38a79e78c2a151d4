"""Read and write state dicts: tensors only, strict, and with errors that say what is wrong with the file.

Two formats are read, told apart by their first bytes and not by their name: safetensors, and what ``torch.save``
writes. The latter is a pickle; it is read with stand-ins (``kdcli.weights.inert``), so that nothing in it runs, and
refused all the same where it holds anything but tensors and plain containers: what that means, ``kdcli weights
convert`` asks and says.
"""

from __future__ import annotations

import json
import shlex
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.errors import WeightsError
from kdcli.files import atomic
from kdcli.remarks import remark
from kdcli.weights.choice import asked_for, only_one, parted
from kdcli.weights.header import read_header
from kdcli.weights.inert import Inert
from kdcli.weights.modules import Found, as_mapping, find, in_order, readable
from kdcli.weights.sort import broken, sort_of
from kdcli.weights.torch_file import TorchFile, opened
from kdcli.weights.wrappers import UNKNOWN, common_prefix, rank, without_prefix

if TYPE_CHECKING:
    from torch import Tensor, nn

_COUNTER = "num_batches_tracked"
"""Buffer of batch norms that old files do not have and inference ignores."""

_SHOWN = 4
"""How many keys of each sort an error names."""

_LONGEST = 80
"""Letters of a name in a file that an error shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weights of one network as a file holds them, and what was around them."""

    state: dict[str, Tensor]
    """Tensors by name, without what stands before every name."""
    part: str
    """Key under which they lie in the file: ``checkpoint.model``; empty for the whole file."""
    prefix: str
    """What stood before every name: ``module.``; empty for nothing."""

    @property
    def note(self) -> str:
        """One clause on what was taken and what was left off; empty for a file that holds the names as they are."""
        taken = f"taken from '{self.part[:_LONGEST]}'" if self.part else ""
        off = f"'{self.prefix[:_LONGEST]}' taken off every name" if self.prefix else ""
        return ", ".join(filter(None, (taken, off)))


def read_weights(path: Path | str, part: str | None = None) -> Weights:
    """Read the weights of one network from a file, on the CPU.

    Args:
        path: the file; ``FILE#PART`` names one network of several in it.
        part: the same, where the path does not say it.

    Raises:
        WeightsError: the file is missing, empty, a Git LFS pointer, cut short, of another format, holds Python objects,
            or several networks, of which none was asked for.
    """
    file, own = parted(path)
    path, part = Path(file), part or own
    if sort_of(path) == "safetensors":
        tensors = load_tensors(path)
        if not tensors:
            raise WeightsError(f"'{path}' holds no tensors by name (it holds: nothing); give a state dict")
        whole = in_order([Found(key="", kind="", tensors=tensors, parameters=None)])
        found = asked_for(whole, part, path) if part else only_one(whole, path)
        state: dict[str, Tensor] = dict(found.tensors)
    else:
        found, state = _unpickle(path, part)
    state, prefix = without_prefix(state)
    made = Weights(state=state, part=found.key, prefix=prefix)
    if prefix or rank(found.key) == UNKNOWN or part:
        remark(f"{path.name}: {made.note}")
    return made


def load_state(path: Path | str, part: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of ``read_weights``, which tells what is read and how it fails."""
    return read_weights(path, part).state


def check_file(path: Path) -> None:
    """Look at a file that another reader is about to read: that it holds tensors only, each as large as it says.

    Raises:
        WeightsError: as ``load_state``, but for several networks in it.
    """
    if sort_of(path) == "safetensors":
        read_header(path)
        return
    with opened(path) as file:
        _only_tensors(file, path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file under the names that they have there, on the CPU: of files of our own.

    Raises:
        WeightsError: as ``load_state``, or of another format.
    """
    if sort_of(path) != "safetensors":
        raise WeightsError(f"'{path}' is a pickle and no safetensors file; give a file that kdcli wrote")
    read_header(path)
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except Exception as error:  # the reader's own error classes differ by version; all mean the same to the user
        raise broken(path, error) from error


def load_into(module: nn.Module, state: Mapping[str, Tensor], origin: Path | str) -> None:
    """Fill a module with a state dict: every key used, every parameter filled, every shape equal, every number finite.

    Batch counters (``num_batches_tracked``) may be absent: old files do not have them and inference ignores them.

    Args:
        module: is filled in place.
        state: tensors by the module's own names, or by these with something before every one of them, or without it;
            dtypes are converted.
        origin: where the state is from, for the message.

    Raises:
        WeightsError: keys are missing, unexpected or of another shape, or a tensor holds not-a-number; the module is
            then untouched.
    """
    own = module.state_dict()
    state = _aligned(own, state)
    missing = [key for key in own if key not in state and not key.endswith(_COUNTER)]
    unexpected = [key for key in state if key not in own]
    shapes = [
        f"{key} is {_shape(state[key])}, wanted {_shape(own[key])}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    wrong = [
        f"{len(keys)} {what} ({_listed(keys)})"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    if wrong:
        raise WeightsError(
            f"'{origin}' does not fit {type(module).__name__}: {'; '.join(wrong)} "
            f"of {len(own)} tensors; give the weights of this network"
        )
    for key, tensor in state.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise WeightsError(f"'{origin}' holds not-a-number or infinity in {key[:_LONGEST]}; get the file again")
    module.load_state_dict({**own, **state}, strict=True)


def save(path: Path | str, state: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write a state dict as safetensors, atomically; metadata that is not a string is stored as JSON.

    Tensors that share memory are stored once each, so that every key stands on its own.
    """
    from safetensors.torch import save as to_bytes

    own = {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in state.items()}
    texts = {key: v if isinstance(v, str) else json.dumps(v, default=str) for key, v in metadata.items()}
    with atomic(Path(path)) as temporary:
        # Written by Python, whose errors say what is wrong with the disk.
        temporary.write_bytes(_ordered(to_bytes(own, metadata={"format": "pt", **texts})))


def _ordered(content: bytes) -> bytes:
    """Return a safetensors file with its header in one order, so that equal contents are equal bytes."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(header, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def read_metadata(path: Path | str) -> dict[str, str]:
    """Return the metadata in the header of a safetensors file; empty for a file of ``torch.save``.

    Only the header is read, without torch.

    Raises:
        WeightsError: as ``load_state``.
    """
    path = Path(path)
    return read_header(path)[0] if sort_of(path) == "safetensors" else {}


def _unpickle(path: Path, part: str | None) -> tuple[Found, dict[str, Tensor]]:
    """Return the network of a file of ``torch.save`` that is meant, and its tensors."""
    with opened(path) as file:
        _only_tensors(file, path)
        parts = find(file.document)
        if not parts:
            held = as_mapping(file.document)
            keys = [str(key)[:_LONGEST] for key in list(held)[:_SHOWN]] if held else [_kind(file.document)]
            raise WeightsError(f"'{path}' holds no tensors by name (it holds: {', '.join(keys)}); give a state dict")
        found = asked_for(parts, part, path) if part else only_one(parts, path)
        return found, file.tensors(readable(found))


def _only_tensors(file: TorchFile, path: Path) -> None:
    if file.foreign:
        raise WeightsError(
            f"'{path}' holds Python objects ({file.foreign[0][:_LONGEST]}), not only tensors, and is not read "
            f"because that could run code; `kdcli weights convert {shlex.quote(str(path))}` takes out its tensors "
            "without running anything"
        )


def _kind(document: Any) -> str:
    if isinstance(document, Inert):
        return document.origin.rpartition(".")[2][:_LONGEST]
    return "nothing" if document == {} else type(document).__name__


def _aligned(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the state under the module's names, where they differ only in what stands before every one of them."""
    wanted = {key for key in own if not key.endswith(_COUNTER)}
    if wanted <= state.keys() <= own.keys():
        return state
    bare, _ = without_prefix(state)
    before = common_prefix(own)
    renamed = {before + name: value for name, value in bare.items()}
    return renamed if wanted <= renamed.keys() <= own.keys() else state


def _listed(keys: Sequence[str]) -> str:
    return ", ".join([*(key[:_LONGEST] for key in keys[:_SHOWN]), *(["..."] if len(keys) > _SHOWN else [])])


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
