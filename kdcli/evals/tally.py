"""What an evaluation knows of one model while it goes on, and how several processes put theirs together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from kdcli.evals.results import Skipped
from kdcli.evals.rows import Rows
from kdcli.evals.sizes import Seen
from kdcli.many.group import Group
from kdcli.types import DepthKind


@dataclass(slots=True)
class Tally:
    """Rows of the images measured so far, those left out, and what else was asked of each, by its position."""

    kind: DepthKind | None = None
    rows: Rows = field(default_factory=Rows)
    skipped: dict[int, Skipped] = field(default_factory=dict)
    sure: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    attacked: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    far: dict[int, Tensor] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)

    def take(self, other: Tally) -> None:
        """Add what another process measured, of other images."""
        self.kind = self.kind or other.kind
        self.rows.take(other.rows)
        self.seen.take(other.seen)
        self.skipped |= other.skipped
        self.sure |= other.sure
        self.attacked |= other.attacked
        self.far |= other.far


def of_all(tallies: Mapping[str, Tally], group: Group) -> dict[str, Tally]:
    """Return what all processes measured."""
    first, *others = group.all_of(dict(tallies))
    for other in others:
        for name, tally in other.items():
            first[name].take(tally)
    return first  # type: ignore[no-any-return]
