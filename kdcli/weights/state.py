"""Read and write state dicts: tensors only, strict, and with errors that say what is wrong with the file.

Two formats are read, told apart by their first bytes and not by their name: safetensors, and what ``torch.save``
writes. The latter is a pickle, so it is read with ``weights_only=True``, which refuses everything but tensors and plain
containers: a file can then not run code. What it refuses, ``kdcli weights convert`` reads with stand-ins.
"""

from __future__ import annotations

import json
import re
import shlex
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kdcli.errors import WeightsError
from kdcli.files import atomic, openable
from kdcli.text import block
from kdcli.weights.sort import broken, protocol_of, sort_of

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")

_WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Keys under which checkpoints keep the state dict, beside optimiser, epoch and so on."""

_PREFIXES = ("module.", "_orig_mod.")
"""What data-parallel wrappers and ``torch.compile`` put before every key."""

_NEEDS_CODE = re.compile(
    r"(?:Unsupported global: GLOBAL|unsupported GLOBAL|unsupported class|with) ([\w.]+)"
    r"(?: was not| whose module| archives|$)"
)
"""How torch says that a pickle wants a class or function, or that a file is a TorchScript program."""

_SHOWN = 4
"""How many keys of each sort an error names."""


def load_state(path: Path | str) -> dict[str, Tensor]:
    """Read the tensors of a file on the CPU, unwrapped and without ``module.`` before their names.

    Raises:
        WeightsError: the file is missing, empty, a Git LFS pointer, cut short, of another format, or needs code to
            be read.
    """
    path = Path(path)
    if sort_of(path) == "safetensors":
        _header(path)
        from safetensors.torch import load_file

        try:
            with openable(path) as opened:
                document: Any = load_file(opened, device="cpu")
        except Exception as error:  # the reader's own error classes differ by version; all mean the same to the user
            raise broken(path, error) from error
    else:
        document = _load_pickle(path)
    state = _unwrap(document)
    if not state:
        keys = list(document)[:_SHOWN] if isinstance(document, Mapping) else [type(document).__name__]
        held = ", ".join(map(str, keys)) or "nothing"
        raise WeightsError(f"'{path}' holds no tensors by name (it holds: {held}); give a state dict")
    return without_prefix(state)


def load_into(module: nn.Module, state: Mapping[str, Tensor], origin: Path | str) -> None:
    """Fill a module with a state dict: every key used, every parameter filled, every shape equal, every number finite.

    Batch counters (``num_batches_tracked``) may be absent: old files do not have them and inference ignores them.

    Args:
        module: is filled in place.
        state: tensors by the module's own names; dtypes are converted.
        origin: where the state is from, for the message.

    Raises:
        WeightsError: keys are missing, unexpected or of another shape, or a tensor holds not-a-number; the module is
            then untouched.
    """
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    shapes = [
        f"{key} is {_shape(state[key])}, wanted {_shape(own[key])}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    wrong = [
        f"{len(keys)} {what} ({', '.join(keys[:_SHOWN])}{', ...' if len(keys) > _SHOWN else ''})"
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
            raise WeightsError(f"'{origin}' holds not-a-number or infinity in {key}; get the file again")
    module.load_state_dict({**own, **state}, strict=True)


def save(path: Path | str, state: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write a state dict as safetensors, atomically; metadata that is not a string is stored as JSON.

    Tensors that share memory are stored once each, so that every key stands on its own.
    """
    from safetensors.torch import save as to_bytes

    own = {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in state.items()}
    texts = {key: block(v if isinstance(v, str) else json.dumps(v, default=str)) for key, v in metadata.items()}
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
    if sort_of(path) != "safetensors":
        return {}
    return {str(key): str(value) for key, value in _header(path).get("__metadata__", {}).items()}


def _header(path: Path) -> dict[str, Any]:
    """Return the JSON header of a safetensors file, checked against the size of the file."""
    total = path.stat().st_size
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > total - 8:
            raise WeightsError(f"'{path}' is cut short or damaged: a header of {length} bytes in a file of {total}")
        try:
            header = json.loads(stream.read(length))
            ends = [int(value["data_offsets"][1]) for key, value in header.items() if key != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise broken(path, error) from error
    expected = 8 + length + max(ends, default=0)
    if expected != total:
        raise WeightsError(f"'{path}' is cut short or damaged: {total} of {expected} bytes; get the file again")
    return dict(header)


def _load_pickle(path: Path) -> Any:
    import torch

    way_out = f"`kdcli weights convert {shlex.quote(str(path))}` takes out its tensors without running anything"
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive surfaces as RuntimeError, EOFError, UnpicklingError, KeyError ...
        if wanted := _NEEDS_CODE.search(str(error)):
            raise WeightsError(
                f"'{path}' holds Python objects ({wanted[1]}), not only tensors, and is not read because that "
                f"could run code; {way_out}"
            ) from error
        if (protocol := protocol_of(path)) > 2:  # torch's own choice, and the one that it reads safely
            raise WeightsError(f"'{path}' is pickled with protocol {protocol}, which is not read; {way_out}") from error
        raise broken(path, error) from error


def _unwrap(document: Any) -> dict[str, Tensor]:
    from torch import Tensor

    for _ in range(2):  # trainers nest at most twice, as in {'model': {'state_dict': ...}}
        inner = next((document[key] for key in _WRAPPERS if _holds(document, key)), None)
        if inner is None:
            break
        document = inner
    if not isinstance(document, Mapping):
        return {}
    return {str(key): value for key, value in document.items() if isinstance(value, Tensor)}


def _holds(document: Any, key: str) -> bool:
    return isinstance(document, Mapping) and isinstance(document.get(key), Mapping)


def without_prefix(state: dict[str, T]) -> dict[str, T]:
    """Return the names without what wrappers put before every one of them."""
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key[len(prefix):]: tensor for key, tensor in state.items()}
    return state


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
