"""Which convolutions of a network stay in float: numbers in the order in which they run, in every format the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kdcli.errors import ConfigError


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

    def among(self, convolves: Sequence[bool], sources: Callable[[int], Iterable[int]]) -> tuple[set[int], int]:
        """Return which operators of a file stay in float, by their places, and how many of them are convolutions.

        What a convolution in float reads is not rounded either: the operator that gives it stays in float, too, and
        what that is fused with, down to its convolution.

        Args:
            convolves: whether each operator of the file, in their order, is a convolution.
            sources: from the place of an operator to the places of those whose outputs it reads.

        Raises:
            ConfigError: the file has other convolutions than the network, so that the numbers say nothing, or none.
        """
        found = [at for at, one in enumerate(convolves) if one]
        if not found:
            raise ConfigError("this network has no convolution in its file: nothing is there for eight bits; export it "
                              "with --precision fp32")
        if self.numbers and len(found) != self.of:
            raise ConfigError(f"its file has {len(found)} convolutions, the network {self.of}: which of them may stay "
                              "in float cannot be told; try another --format")
        kept = set(range(found[-1], len(convolves)))
        for number in self.numbers:
            kept.add(found[number])
            at = found[number]
            while len(read := list(sources(at))) == 1:
                at = read[0]
                kept.add(at)
                if convolves[at]:
                    break
        return kept, sum(convolves[at] for at in kept)
