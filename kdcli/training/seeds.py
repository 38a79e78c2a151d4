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


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block under a fixed global seed and restore the generator after: for code that knows no other, such as
    the initialisation of layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
