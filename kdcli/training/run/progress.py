"""Who is told how a run is getting on."""

from __future__ import annotations

from typing import Protocol

from kdcli.training.loop.train import StepLog


class Progress(Protocol):
    """Who is told how a run is getting on; the command line draws it."""

    def note(self, message: str) -> None:
        """Say what begins or ended."""

    def step(self, log: StepLog) -> None:
        """Show a logged training step."""

    def count(self, what: str, done: int, total: int) -> None:
        """Show how far a countable job is."""


class Silent:
    """Progress for callers who want none."""

    def note(self, message: str) -> None:
        """Say nothing."""

    def step(self, log: StepLog) -> None:
        """Show nothing."""

    def count(self, what: str, done: int, total: int) -> None:
        """Show nothing."""
