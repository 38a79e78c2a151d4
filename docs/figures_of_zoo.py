"""The study of all methods of the zoo, in the simulator and on photographs, as one table and one plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from figures_of_studies import COLOURS, METRIC, Rows, arms, drawing, gain, kept, number, studies, tail

REFERENCE = "plain"
PLACES = {"zoo-mini": "simulator", "zoo-kitchen": "photographs"}
"""Result files of the two studies, and what they are called."""
COST = "zoo-cost"


def table(results: Path) -> str:
    """Return a Markdown table of every arm: what it gains on plain distillation in both places, and what it costs."""
    places, costs = studies(results, PLACES), _costs(results)
    heads = ["arm", "", "shown to teachers"]
    for place in places:
        heads += [f"{METRIC}, {place}", f"minus {REFERENCE}'s"]
    heads += ["time of a step", "of the run", "memory"] if costs else []
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for arm in _order(places):
        rows = [rows.get(arm) for rows in places.values()]
        label = next(row["label"] for row in rows if row is not None)
        cells = [f"`{arm}`", label, _shown([row for row in rows if row is not None], places)]
        for row in rows:
            cells += ["", ""] if row is None else [number(row["metrics"][METRIC]), gain(row)]
        cost = costs.get(arm)
        if costs:
            cells += ["", "", ""] if cost is None else [f"{cost[key]:.2f}" for key in ("step", "run", "memory")]
        lines.append(f"| {' | '.join(cells)} |")
    tails = [tail(results, name, PLACES[name]) for name in kept(results, PLACES)]
    tails.append(f"Images shown to teachers as a multiple of those of `{REFERENCE}`, in either place; "
                 "the batches by which data-free fits its network are not counted.")  # fmt: skip
    if costs:
        tails.append(f"Time and memory as multiples of those of `{REFERENCE}`, side by side "
                     "(`python plugins/kdcli-zoo/benchmarks/cost.py`).")  # fmt: skip
    return "\n".join(lines) + "\n\n" + "  \n".join(tails)


def under_attack(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what `kdcli eval --perturb` found of runs of a study, cells/ARM/seedS, by arm."""
    arms: dict[str, Any] = {}
    for row in rows:
        attacks = {key: row["perturbed"][key] for key in ("epsilon", "pgd_steps")}
        attacks |= {key: {"metrics": row["perturbed"][key]["metrics"]} for key in ("fgsm", "pgd")}
        kept = {key: row[key] for key in ("model", "spec", "n", "metrics")} | {"perturbed": attacks}
        arms.setdefault(Path(row["model"]).parent.name, []).append(kept)
    return arms


def perturbed(arms: dict[str, Any]) -> str:
    """Return a Markdown table of arms under attack, means over seeds: the images as they are, and two attacks."""
    kinds = {"as it is": lambda row: row, "FGSM": lambda row: row["perturbed"]["fgsm"],
             "PGD": lambda row: row["perturbed"]["pgd"]}  # fmt: skip
    lines = [f"| arm | seeds | {' | '.join(f'{METRIC}, {kind}' for kind in kinds)} |", "|---" * (len(kinds) + 2) + "|"]
    for arm, rows in arms.items():
        means = [sum(of(row)["metrics"][METRIC] for row in rows) / len(rows) for of in kinds.values()]
        lines.append(f"| `{arm}` | {len(rows)} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    first = next(iter(arms.values()))[0]
    most = f"{first['perturbed']['epsilon'] * 255:.0f}/255"
    tail = f"On `{first['spec']}`, {first['n']} images, changes of at most {most} of a colour."
    return "\n".join(lines) + f"\n\n{tail}"


def draw(results: Path, path: Path) -> None:
    """Draw the gains of all arms with their intervals, one line an arm, both places in it."""
    pyplot = drawing()
    places = studies(results, PLACES)
    drawn = [arm for arm in _order(places) if arm != REFERENCE][::-1]
    figure, axes = pyplot.subplots(figsize=(8, 0.36 * len(drawn) + 1.2), layout="constrained")
    for i, (place, rows) in enumerate(places.items()):
        for y, arm in enumerate(drawn):
            one = (rows.get(arm) or {}).get("against")
            if one is None:
                continue
            more = one["difference"][METRIC]
            clear = more["low"] > 0 or more["high"] < 0
            at = y + (0.14 if i == 0 else -0.14) * (len(places) > 1)
            axes.plot([more["low"], more["high"]], [at, at], color=COLOURS[i], linewidth=2, alpha=1 if clear else 0.45)
            axes.plot(more["value"], at, "o", color=COLOURS[i], markersize=5, alpha=1 if clear else 0.45,
                      markerfacecolor=COLOURS[i] if clear else "white")  # fmt: skip
        axes.plot([], [], "o-", color=COLOURS[i], label=place)
    axes.axvline(0, color="#444", linewidth=1)
    axes.set_yticks(range(len(drawn)), drawn)
    axes.set_ylim(-0.7, len(drawn) - 0.3)
    axes.set_xlabel(f"{METRIC} minus that of plain distillation, paired, 95 % interval (hollow: not clear of zero)")
    axes.grid(axis="x", color="#ddd", linewidth=0.6)
    axes.legend(loc="lower right", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    pyplot.close(figure)


def _shown(rows: list[dict[str, Any]], places: dict[str, Rows]) -> str:
    """Return how many images an arm's teachers were shown over the reference's, in each place where these differ."""
    plain = [found[REFERENCE]["teacher_images"] for found in places.values()]
    told = [f"{row['teacher_images'] / one:.1f}" for row, one in zip(rows, plain, strict=False)]
    return ", ".join(dict.fromkeys(told))


def _costs(results: Path) -> dict[str, Any]:
    path = results / f"{COST}.json"
    return {row["arm"]: row for row in json.loads(path.read_text())["rows"]} if path.is_file() else {}


def _order(places: dict[str, Rows]) -> list[str]:
    """Return the arms, those that gain most first, by the mean of both places."""

    def mean(arm: str) -> float:
        ones = [rows[arm]["against"] for rows in places.values() if arm in rows]
        told = [one["difference"][METRIC]["value"] for one in ones if one is not None]
        return sum(told) / len(told) if told else 0.0

    return sorted(arms(places), key=mean, reverse=True)
