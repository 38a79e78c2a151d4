"""Fill a module with a state dict, strictly, and write one: every name used, every shape equal, every number finite."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.errors import WeightsError
from kdcli.files import atomic
from kdcli.text import block
from kdcli.weights.wrappers import common_prefix, without_prefix

if TYPE_CHECKING:
    from torch import Tensor, nn

_COUNTER = "num_batches_tracked"
"""Buffer of batch norms that old files do not have and inference ignores."""

_SHOWN = 4
"""How many keys of each sort an error names."""

_LONGEST = 80
"""Letters of a name in a file that an error shows."""


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
    module.load_state_dict({**own, **fitting(module, state, origin)}, strict=True)


def fitting(module: nn.Module, state: Mapping[str, Tensor], origin: Path | str) -> Mapping[str, Tensor]:
    """Return a state dict under a module's names, once ``load_into`` would take it; of the module nothing but names and
    shapes is looked at.

    Raises:
        WeightsError: as ``load_into``.
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
    return state


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
