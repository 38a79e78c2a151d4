"""How many inputs are damaged in all."""

from __future__ import annotations

import test_fuzz_commands
import test_fuzz_lists
import test_fuzz_own_files
import test_fuzz_pictures
import test_fuzz_public_sets
import test_fuzz_published
import test_fuzz_sets
import test_fuzz_weights
from mutations import damaged, inputs, shown

MODULES = (
    test_fuzz_commands,
    test_fuzz_lists,
    test_fuzz_own_files,
    test_fuzz_pictures,
    test_fuzz_published,
    test_fuzz_public_sets,
    test_fuzz_sets,
    test_fuzz_weights,
)


def test_a_thousand_inputs_are_damaged() -> None:
    assert sum(module.INPUTS for module in MODULES) >= 1000


def test_a_seed_draws_the_same_again() -> None:
    drawn = [[shown(damaged(b"content" * 40, draw)) for _, draw in inputs("any", 30)] for _ in range(2)]
    assert drawn[0] == drawn[1] and len(set(drawn[0])) > 20
