"""The verdict on several runs or arms beside one of them: which can be told apart from it, and which way."""

from __future__ import annotations

from collections.abc import Sequence

from kdcli.evals.metrics import HIGHER_IS_BETTER
from kdcli.report.drawings import Interval, forest
from kdcli.report.html import Block, Drawing


def standing(metric: str, reference: str, others: Sequence[Interval], unlike: Sequence[str] = ()) -> list[str]:
    """Return sentences, the first of which is the answer.

    others: differences to the reference with their paired intervals. unlike: what has nothing in common with it.
    """
    sign = 1 if metric in HIGHER_IS_BETTER else -1
    better = [one for one in others if one.clear and sign * one.value > 0]
    worse = [one for one in others if one.clear and sign * one.value < 0]
    same = [one for one in others if not one.clear]
    parts = [
        f"{_listed(group)} {'is' if len(group) == 1 else 'are'} {said}"
        for group, said in (
            (better, f"better than {reference}"), (worse, f"worse than {reference}"),
            (same, f"not told apart from {reference}"),
        )
        if group
    ]  # fmt: skip
    first = "; ".join(parts) if parts else f"Nothing can be compared with {reference}"
    said = [f"{first} ({metric}, paired, 95 % interval)."]
    if unlike:
        said.append(f"No common images, protocol or teacher with {reference}: {', '.join(unlike)}.")
    return said


def standing_plot(metric: str, reference: str, others: Sequence[Interval]) -> list[Block]:
    """Return the differences as a drawing; none where there are none."""
    if not others:
        return []
    side = "right" if metric in HIGHER_IS_BETTER else "left"
    return [Drawing(
        svg=forest(others, f"{metric} minus that of {reference}"),
        caption=f"Difference in {metric} to {reference} on the same images with its 95 % interval; further {side} is "
        "better, and grey is not clear of zero.",
    )]  # fmt: skip


def _listed(group: Sequence[Interval]) -> str:
    return ", ".join(f"{one.name} ({one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}])" for one in group)
