"""What a process does with the memory of its tensors on a CPU."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from kdcli.devices import keep_freed_memory
kept = sys.argv[1] == "keep" and keep_freed_memory()
def large():
    for _ in range(20):
        torch.empty(8, 96, 96, 128).fill_(1.0)
large()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
large()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[bool, int]:
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    kept, count = done.stdout.split()
    return kept == "1", int(count)


def test_memory_that_was_given_back_is_not_cleared_anew() -> None:
    kept, count = faults("keep")
    if not kept:
        pytest.skip("the C library is not glibc")
    _, plain = faults("leave")
    assert count < plain / 10 or plain < 100  # an allocator that was put in its place keeps memory by itself
