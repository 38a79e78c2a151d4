"""The verdict on an evaluation in plain sentences: which model is best, by how much, how surely, at what cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kdcli.evals.baseline import NAME as CONSTANT
from kdcli.evals.results import Comparison, Result, compare
from kdcli.report.common import differing, on_common
from kdcli.report.tables import amount, number

METRIC = "abs_rel"
"""What models are ranked by."""
_MOST = 4
"""Models whose cost is said."""


def by_rank(results: Sequence[Result]) -> list[Result]:
    """Return the results with numbers, the best first."""
    return sorted((r for r in results if math.isfinite(r.metrics[METRIC])), key=lambda r: r.metrics[METRIC])


def verdict(results: Sequence[Result]) -> list[str]:
    """Return sentences, the first of which is the answer; at least one.

    Models are compared on the images that all of them have.
    """
    apart = differing(results)
    ranked = by_rank(on_common(results))
    if not ranked:
        return apart or ["No image could be measured."]
    networks = [result for result in ranked if result.model != CONSTANT]
    constant = next((result for result in ranked if result.model == CONSTANT), None)
    if not networks:
        return [f"Each image's own median is off by {share(ranked[0].metrics[METRIC])} of the distance on average."]
    best, *others = networks
    said = [_answer(best, others[0]) if others else alone(best)]
    said += apart
    if others:
        said.append(alone(best))
    if constant is not None:
        said.append(_beside_constant(best, constant))
    said += costs(networks)
    if len({result.protocol.hash for result in networks}) > 1:
        said.append("The models were aligned or read out differently, as their depth kinds and authors want: compare "
                    "with care.")
    return said


def verdict_of_sets(groups: Sequence[tuple[str, Sequence[Result]]]) -> list[str]:
    """Return the same over several sets: who is first on which, and how sure that is on each."""
    models = [result.model for result in groups[0][1] if result.model != CONSTANT]
    if len(models) < 2:
        return [f"{models[0] if models else CONSTANT} was measured on {len(groups)} sets."]
    first: dict[str, list[str]] = {model: [] for model in models}
    places = dict.fromkeys(models, 0)
    doubtful, single, apart = list[str](), list[str](), list[str]()
    for name, results in groups:
        ranked = [result for result in by_rank(on_common(results)) if result.model != CONSTANT]
        apart += [f"{name}: {one}" for one in differing(results)]
        if ranked:
            first[ranked[0].model].append(name)
        for place, result in enumerate(ranked):
            places[result.model] += place
        if len(ranked) > 1 and not _clear(compare(ranked[0], ranked[1])):
            (doubtful if ranked[0].n > 1 else single).append(name)
    order = sorted(models, key=lambda model: (-len(first[model]), places[model]))
    leader = order[0]
    rest = "".join(f"; {model} on {', '.join(first[model])}" for model in order[1:] if first[model])
    said = [f"{leader} is first on {len(first[leader])} of {len(groups)} sets by {METRIC} "
            f"({', '.join(first[leader])}){rest}."]
    if doubtful:
        said.append(f"On {', '.join(doubtful)} the lead over the next is within the 95 % interval.")
    if single:
        said.append(f"On {', '.join(single)} one image tells nothing of how sure the lead is.")
    if not doubtful and not single:
        said.append("On each set the lead over the next is clear of its 95 % interval.")
    said += apart
    results = by_rank(groups[0][1])
    named = {result.model: result for result in results}
    ordered = [named[model] for model in order if model in named]
    return [*said, *costs(ordered)]


def _answer(best: Result, second: Result) -> str:
    found = compare(second, best)
    gap, low, high = found.difference[METRIC], *found.ci95[METRIC]
    values = f"{METRIC} {number(best.metrics[METRIC])} against {number(second.metrics[METRIC])}"
    nearer = "" if best.against is None else f" to {best.against}"
    if gap == 0 or not found.n:
        return f"{best.model} and {second.model} are level{nearer} ({values}, {found.n} images)."
    less = share(gap / second.metrics[METRIC])
    if not math.isfinite(low):
        return (f"{best.model} comes nearest{nearer}: {values} of {second.model}, {less} less; one image tells no "
                "more.")
    interval = f"the 95 % interval of the difference, {number(low)} to {number(high)}"
    if _clear(found):
        return (f"{best.model} is best{nearer}: {values} of {second.model}, {less} less; {interval}, is clear of "
                f"zero ({found.n} images).")
    return (f"{best.model} and {second.model} cannot be told apart{nearer}: {values}; {interval}, holds zero "
            f"({found.n} images).")


def _clear(found: Comparison) -> bool:
    low, high = found.ci95[METRIC]
    return low > 0 or high < 0


def alone(best: Result) -> str:
    """Return how far one model is off, in a sentence."""
    what = "the distance" if best.against is None else f"what {best.against} says"
    low, high = best.ci95[METRIC]
    interval = f"95 % interval {share(low)} to {share(high)}, " if math.isfinite(low) else ""
    return (f"{best.model} is off by {share(best.metrics[METRIC])} of {what} on average ({interval}{best.n} "
            f"image{'s' if best.n > 1 else ''}); {share(best.metrics['delta1'])} of the pixels are within a factor of "
            "1.25.")


def _beside_constant(best: Result, constant: Result) -> str:
    here, there = best.metrics[METRIC], constant.metrics[METRIC]
    beats = "clearly beats" if here < there and _clear(compare(constant, best)) else "does not clearly beat"
    return f"Each image's own median, which knows no shape, is off by {share(there)}: {best.model} {beats} it."


def costs(networks: Sequence[Result]) -> list[str]:
    """Return what networks cost, the first of them in numbers, all others also as multiples of it."""
    known = [result for result in networks if _cost(result) is not None][:_MOST]
    if not known:
        return []
    first, *others = known
    said = [f"{first.model} has {_cost(first)}"]
    for other in others:
        times = [
            f"{_times(theirs / ours)} the {what}" for what, theirs, ours in (
                ("parameters", other.cost.parameters, first.cost.parameters),
                ("multiply-adds", other.cost.multiply_adds, first.cost.multiply_adds),
            )
            if theirs and ours and theirs != ours
        ]  # fmt: skip
        told = "as many" if _cost(other) == _cost(first) else _cost(other)
        said.append(f"{other.model} has {told}" + (f" ({' and '.join(times)})" if times else ""))
    return ["; ".join(said) + "."]


def _cost(result: Result) -> str | None:
    cost, size = result.cost, result.cost.size
    at = f" at {size[0]}x{size[1]}" if size else ""
    parts = [f"{amount(cost.parameters)} parameters" if cost.parameters else "",
             f"{amount(cost.multiply_adds)} multiply-adds an image{at}" if cost.multiply_adds else ""]
    return " and ".join(filter(None, parts)) or None


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times" if ratio >= 1 else f"1/{1 / ratio:.2g} of"


def share(value: float) -> str:
    """Return a share as a percentage of three digits."""
    return f"{100 * value:.3g} %"
