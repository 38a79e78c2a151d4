"""Which convolutions of a network stay in float: numbers in the order in which they run, in every format the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from kdcli.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Floating:
    """Convolutions that stay in float beside the last one.

    The last one, and what follows it, always does: it turns numbers into depth, often through an exponential, so that
    eight bits would show as steps, and costs next to nothing.
    """

    numbers: frozenset[int] = frozenset()
    """In the order in which they run, from 0."""
    of: int | None = None
    """How many there are; None where that was not looked at, and no number is given."""

    def among(self, found: Sequence[T]) -> list[T]:
        """Return those of a file's own convolutions, in their order, that stay in float.

        Raises:
            ConfigError: the file has others than the network, so that the numbers say nothing, or none at all.
        """
        if not found:
            raise ConfigError("this network has no convolution in its file: nothing is there for eight bits; export it "
                              "with --precision fp32")
        if self.numbers and len(found) != self.of:
            raise ConfigError(f"its file has {len(found)} convolutions, the network {self.of}: which of them may stay "
                              "in float cannot be told; try another --format")
        return [one for number, one in enumerate(found) if number in self.numbers or number == len(found) - 1]
