"""PyTorch's and NumPy's settings that hold for a whole process, where these are imported; to be read and set back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple


class Thing(NamedTuple):
    """One part of the process. read: its state; raises where it cannot be had. write: sets it."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


def _torch() -> Any:
    """Return torch once it is wholly imported.

    Raises:
        LookupError: it is not.
    """
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "set_num_threads"):
        raise LookupError("torch")
    return torch


def _deterministic() -> tuple[bool, bool, bool, bool]:
    torch = _torch()
    cudnn = torch.backends.cudnn
    return (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
            cudnn.deterministic, cudnn.benchmark)


def _set_deterministic(state: tuple[bool, bool, bool, bool]) -> None:
    torch = _torch()
    torch.use_deterministic_algorithms(state[0], warn_only=state[1])
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = state[2:]


def _random() -> bytes:
    return bytes(_torch().get_rng_state().numpy().tobytes())


def _set_random(state: bytes) -> None:
    torch = _torch()
    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def _numpy_random() -> tuple[Any, ...]:
    name, keys, *rest = sys.modules["numpy.random"].get_state()
    return (name, keys.tobytes(), *rest)


def _set_numpy_random(state: tuple[Any, ...]) -> None:
    numpy = sys.modules["numpy"]
    numpy.random.set_state((state[0], numpy.frombuffer(state[1], dtype=numpy.uint32), *state[2:]))


TORCH = (
    Thing("PyTorch's threads", lambda: _torch().get_num_threads(), lambda n: _torch().set_num_threads(n)),
    Thing("the default dtype", lambda: _torch().get_default_dtype(), lambda d: _torch().set_default_dtype(d)),
    Thing("the default device", lambda: str(_torch().get_default_device()),
               lambda device: _torch().set_default_device(None if device == "cpu" else device)),
    Thing("the gradient mode", lambda: _torch().is_grad_enabled(), lambda on: _torch().set_grad_enabled(on)),
    Thing("deterministic algorithms", _deterministic, _set_deterministic),
    Thing("the precision of matrix products", lambda: _torch().get_float32_matmul_precision(),
               lambda word: _torch().set_float32_matmul_precision(word)),
    Thing("the detection of anomalies", lambda: _torch().is_anomaly_enabled(),
               lambda on: _torch().autograd.set_detect_anomaly(on)),
)
SEEDS = (
    Thing("PyTorch's random numbers", _random, _set_random),
    Thing("NumPy's random numbers", _numpy_random, _set_numpy_random),
)
