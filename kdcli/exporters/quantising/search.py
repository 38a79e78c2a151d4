"""As much in eight bits as a budget of depth error allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kdcli.errors import ConfigError
from kdcli.exporters.gate.compare import Drift
from kdcli.exporters.gate.judge import TooFar
from kdcli.exporters.quantising.floating import Floating

LEVELS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""How many of the most sensitive convolutions stay in float, tried in this order. With those that go along, that is at
most half of all: a file that is float for the most part is no answer to who asks for eight bits."""

Writer = Callable[[Floating], int]
"""Writes the file with these convolutions in float and returns how many are; an exporter's ``quantised`` gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A file that keeps to its budget."""

    drift: tuple[Drift, ...]
    notes: list[str]
    floating: Floating


def within_budget(
    write: Writer, gate: Callable[[], tuple[tuple[Drift, ...], list[str]]], order: Callable[[], tuple[list[int], int]],
) -> Held:
    """Write a file with ever more of its most sensitive convolutions in float until the gate lets it pass.

    Args:
        write: the file.
        gate: raises ``TooFar`` for a file that works and is too far from its network; whatever else it raises ends
            the search.
        order: numbers of the convolutions, the most sensitive first, and how many there are; asked for once, and only
            where not all of them may go into eight bits.

    Raises:
        ConfigError: no file kept to the budget.
    """
    kept = write(Floating())
    try:
        drift, notes = gate()
        return Held(drift=drift, notes=notes, floating=Floating())
    except TooFar as error:
        nearest, fewest = error, kept
    numbers, of = order()
    for level in LEVELS[1:]:
        floating = Floating(frozenset(numbers[:level]), of)
        if level > len(numbers) or 2 * (kept := write(floating)) > of:
            break
        try:
            drift, notes = gate()
        except TooFar as error:
            if error.mean < nearest.mean:
                nearest, fewest = error, kept
        else:
            told = f"{kept} of its {of} convolutions stay in float, those that eight bits would cost most"
            return Held(drift=drift, notes=[told, *notes], floating=floating)
    raise ConfigError(f"{nearest}; that is with {fewest} of {of} convolutions in float, the nearest that was found")
