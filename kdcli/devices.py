"""Which device to work on, and what it can do."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

import torch

from kdcli.errors import ConfigError
from kdcli.limits.cores import cores


def choose(name: str) -> torch.device:
    """Return the device of a name: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ConfigError: an unknown name, or CUDA asked for where there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device '{name}' is unknown; use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda", "meta") or (device.type == "cpu" and device.index):
        raise ConfigError(f"device '{name}' is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise ConfigError(f"device '{name}' is not there: {torch.cuda.device_count()} CUDA devices; use --device cpu")
    return device


def limit_threads() -> None:
    """Let PyTorch work with no more threads than this process has cores, unless ``OMP_NUM_THREADS`` says how many.

    It starts one for each core that it sees, and does not see the quota of a container.
    """
    usable = cores()
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > usable:
        torch.set_num_threads(usable)


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return bfloat16 where the device computes in it natively, else None."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return None


INT8 = {
    "amx_int8": "AMX int8", "avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX VNNI",
    "i8mm": "ARM matrix products of bytes", "dot": "ARM dot products",
}
"""What PyTorch calls the instructions that multiply and sum bytes, and how they are known."""


def int8_instructions() -> tuple[str, ...] | None:
    """Return the instructions of this CPU for products of bytes, none or more; None where that cannot be told."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    known = {} if ask is None else ask()
    return tuple(told for name, told in INT8.items() if known.get(name)) if known else None


def keep_freed_memory() -> bool:
    """Let this process keep the memory that tensors on the CPU give back, as PyTorch does on a GPU; whether it could.

    The C library of Linux (glibc) maps every large tensor anew, and the system clears its pages each time: some 15 % of
    a step of a small network. For a process that trains and then ends: its memory stays at its peak.
    """
    map_most, trim_above = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
    with suppress(OSError, AttributeError, TypeError):  # other systems, other C libraries
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(map_most, 0)) and bool(mallopt(trim_above, -1))
    return False
