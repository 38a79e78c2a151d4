"""Transformation networks on disk: safetensors, with what they are and how they came to be in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdcli.errors import ConfigError, WeightsError
from kdcli.files import atomic, from_json
from kdcli.networks.limits import no_larger_than
from kdcli.transform.network import TransformNetwork
from kdcli.version import __version__
from kdcli.weights import load_tensors, read_metadata

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
    if not path.is_file():
        raise WeightsError(f"no transformation network at '{path}'; make one with kdcli fit-transform")
    header = read_metadata(path)
    if header.get("format") != FORMAT:
        found = header.get("format", "no format in its header")[:80]
        raise WeightsError(f"'{path}' is not a transformation network ({found}); make one with kdcli fit-transform")
    tensors = load_tensors(path)
    try:
        architecture, provenance = from_json(header["architecture"]), from_json(header["provenance"])
        if not isinstance(provenance, dict):
            raise ValueError("its provenance is no object")
        with no_larger_than(path.stat().st_size, len(tensors), f"the header of '{path}'"):
            network = TransformNetwork(**architecture)
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, ConfigError, WeightsError) as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(f"'{path}' does not hold the network of its header ({reason}); make it again") from None
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise WeightsError(f"'{path}' holds not-a-number or infinity in {name[:80]}; make it again")
    return network.eval(), provenance
