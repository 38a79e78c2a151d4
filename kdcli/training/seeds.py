"""Randomness as a function of its place: nothing depends on what was drawn before, so a run can go on anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_of(seed: int, *place: str | int) -> int:
    """Return a 63-bit seed for a place, for example ``seed_of(0, "distill", step)``."""
    text = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1


def reseed(seed: int, device: torch.device) -> None:
    """Put the global random numbers of the CPU and of a device to a start: what dropout draws from.

    Asks for no other device, as ``torch.manual_seed`` does at a hundred times the cost.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda" and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def global_random_kept(device: torch.device) -> Iterator[None]:
    """Give the global random numbers of the CPU and of a device back as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block under a fixed global seed and restore the generator after: for code that knows no other, such as
    the initialisation of layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
