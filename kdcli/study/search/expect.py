"""What a search will take, told before it begins, from a few real steps of its first setting."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.study.search.plan import DEFAULT, Search
from kdcli.study.search.record import read

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A rung, or the table at the end."""

    title: str
    settings: int
    seeds: int
    budget: int
    """Of each run's main stage, in the search's unit."""
    total: int
    """Of all of its runs."""
    decided: bool
    seconds: float
    """Of the students' steps in all of its runs, if each took as long as the first setting's."""

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


def expect(search: Search, out: Path, device: torch.device) -> list[Expected]:
    """Return the rungs of a search and its table with their cost.

    Raises:
        KdcliError: whatever a run of the first setting would refuse.
    """
    from kdcli.training.run.dry_run import measure

    search.rung_study(search.rungs[0], search.first)  # every setting is looked at
    config = search.last_study(search.first[:1]).cells[0].config
    stages = measure(config, device, repeats=3)["stages"]
    decided = len(read(search, out).decisions)

    def row(title: str, settings: int, seeds: int, budget: int, done: bool) -> Expected:
        share = budget / search.full
        each = sum(stage["seconds"] * (share if stage["stage"] == config.main.name else 1.0) for stage in stages)
        runs = settings * seeds
        return Expected(title=title, settings=settings, seeds=seeds, budget=budget, total=budget * runs, decided=done,
                        seconds=each * runs)  # fmt: skip

    rows = [row(f"rung {rung.number}", rung.trials, len(search.seeds), rung.budget, rung.number <= decided)
            for rung in search.rungs]  # fmt: skip
    own = search.first[0].name == DEFAULT  # in the table beside those that are left, of which it may be one
    return [*rows, row("table", search.rungs[-1].keeps + own, len(search.last_seeds), search.full, False)]
