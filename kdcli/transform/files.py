"""Transformation networks on disk: safetensors, with what they are and how they came to be in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdcli.errors import ConfigError, WeightsError
from kdcli.files import atomic, is_lfs_pointer, openable
from kdcli.transform.network import TransformNetwork
from kdcli.version import __version__

FORMAT = "kdcli.transform/1"


def save(network: TransformNetwork, path: Path, provenance: Mapping[str, Any]) -> None:
    """Write a network and its provenance (JSON-able: teacher, data, steps, seed, before and after).

    Raises:
        ConfigError: the name does not end in ``.safetensors``.
    """
    from safetensors.torch import save as to_bytes

    if path.suffix != ".safetensors":
        raise ConfigError(f"'{path}' does not end in .safetensors; write '{path.with_suffix('.safetensors').name}'")
    header = {
        "format": FORMAT,
        "kdcli": __version__,
        "architecture": json.dumps(network.architecture, sort_keys=True),
        "provenance": json.dumps(dict(provenance), sort_keys=True, default=str),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic(path) as temporary:
        temporary.write_bytes(to_bytes(tensors, metadata=header))  # by Python, whose errors say what is wrong


def load(path: Path) -> tuple[TransformNetwork, dict[str, Any]]:
    """Read a network, in evaluation mode on the CPU, and its provenance.

    Raises:
        WeightsError: no such file, not a safetensors file, or not a transformation network.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise WeightsError(f"no transformation network at '{path}'; make one with kdcli fit-transform")
    if is_lfs_pointer(path):
        raise WeightsError(f"'{path}' is a Git LFS pointer, not the file itself; run git lfs pull")
    try:
        with openable(path) as opened, safe_open(opened, framework="pt", device="cpu") as stream:
            header = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(f"'{path}' is not a readable safetensors file ({reason}); make it again") from None
    if header.get("format") != FORMAT:
        found = header.get("format", "no format in its header")
        raise WeightsError(f"'{path}' is not a transformation network ({found}); make one with kdcli fit-transform")
    try:
        network = TransformNetwork(**json.loads(header["architecture"]))
        network.load_state_dict(tensors)
        provenance = json.loads(header["provenance"])
    except (KeyError, TypeError, ValueError, RuntimeError, ConfigError) as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(f"'{path}' does not hold the network of its header ({reason}); make it again") from None
    return network.eval(), provenance
