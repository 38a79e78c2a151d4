"""The part of a card that says how good a student is: verdict first, then the numbers, then how they were taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdcli.report.tables import amount
from kdcli.sharing.facts import Facts
from kdcli.sharing.head import METRICS
from kdcli.sharing.markdown import code, table, words
from kdcli.sharing.private import cleaned

_BETTER = {"delta1": "up", "abs_rel": "down", "rmse": "down", "silog": "down"}
_ARROWS = {"up": "\u2191", "down": "\u2193"}


def measured(facts: Facts) -> list[str]:
    """Return the paragraphs: accuracy where there was ground truth, and how near the student is to its teacher."""
    said: list[str] = []
    if facts.results:
        said += [*_verdict(facts.results["student"], facts.labels), *_numbers(facts, facts.results),
                 _taken(facts.results["student"])]
    else:
        said.append("**Its accuracy was not measured**: the run had no images with ground truth.")
    for teacher, results in (facts.manifest.get("fidelity") or {}).items():
        if "student" in results:
            to = words(facts.labels.get(teacher, teacher))
            said += [f"How near it comes to its {to} on images that were held out, which is not accuracy "
                     "(the teacher may be wrong):", *_numbers(facts, results), _taken(results["student"])]
    return said


def _verdict(result: Mapping[str, Any], labels: Mapping[str, str]) -> list[str]:
    """Return whether the method helped: the student against the twin that did without it."""
    pair = (result.get("paired") or {}).get("twin")
    if pair is None:
        return ["Whether the method helped was not measured: no twin was trained without it."]
    gain, (low, high) = pair["difference"].get("delta1"), pair["ci95"].get("delta1", (None, None))
    if gain is None or low is None:
        return []
    told = "Better than its twin" if low > 0 else "Worse than its twin" if high < 0 else "Not told apart from its twin"
    about = labels.get("twin", "").partition("(")[2].removesuffix(")")
    without = f" by {words(about)}" if about else ""
    return [
        f"**{told}** (the same student, made{without} on the same budget): delta1 {gain:+.3f}, "
        f"95 % interval {low:+.3f} to {high:+.3f}, paired over {pair.get('n', result['n'])} images."
    ]


def _numbers(facts: Facts, results: Mapping[str, Any]) -> list[str]:
    columns = ["model", *(f"{METRICS[key]} {_ARROWS[way]}" for key, way in _BETTER.items()), "parameters",
               "multiply-adds"]
    ordered = sorted(results, key=lambda role: (role != "student", role != "twin", role))
    rows = [
        [_bold("twin" if role == "twin" else words(facts.labels.get(role, role)), role == "student"),
         *(_value(results[role], key) for key in _BETTER), amount(results[role].get("parameters")),
         _work(results[role])]
        for role in ordered
    ]
    return [table(columns, rows), "Means over images with 95 % bootstrap intervals; RMSE in metres where depth is."]


def _taken(result: Mapping[str, Any]) -> str:
    size, protocol = result.get("size"), result["protocol"]
    skipped = len(result.get("skipped") or [])
    return (
        f"Measured on {code(cleaned(result['spec']))}, {result['n']} images"
        + (f" ({skipped} skipped)" if skipped else "")
        + (f" at {size[0]}x{size[1]}" if size else "")
        + f", protocol {code(protocol['name'])} with hash {code(protocol['hash'])}, "
        f"alignment {code(result.get('align') or 'none')}."
    )


def _value(result: Mapping[str, Any], metric: str) -> str:
    value, (low, high) = result["metrics"].get(metric), result["ci95"].get(metric, (None, None))
    return "-" if value is None else f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _work(result: Mapping[str, Any]) -> str:
    count, size = result.get("multiply_adds"), result.get("multiply_adds_at")
    return "-" if not count else amount(count) + (f" at {size[0]}x{size[1]}" if size else "")


def _bold(text: str, really: bool) -> str:
    return f"**{text}**" if really else text
