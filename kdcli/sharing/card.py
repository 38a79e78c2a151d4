"""A model card out of a run: what the student is, how good, how to run it, what it is not, and how it was made."""

from __future__ import annotations

from kdcli.hub.declared import RECIPE
from kdcli.report.tables import amount
from kdcli.sharing.facts import Facts
from kdcli.sharing.head import head
from kdcli.sharing.limits import limits
from kdcli.sharing.markdown import code, table, words
from kdcli.sharing.measured import measured
from kdcli.sharing.private import command_of
from kdcli.sharing.terms import meaning, origins, taught_by
from kdcli.sharing.usage import usage
from kdcli.types import DepthKind

KINDS = {
    DepthKind.METRIC: "depth in metres",
    DepthKind.SCALE_INVARIANT: "depth up to one unknown factor an image",
    DepthKind.AFFINE_DEPTH: "depth up to an unknown factor and offset an image",
    DepthKind.AFFINE_DISPARITY: "inverse depth (near is large) up to an unknown factor and offset an image",
}
"""What the numbers of each kind are, in words."""


def card(facts: Facts, *, name: str, model: str, picture: str | None = None) -> str:
    """Return the card as Markdown with its YAML head.

    Args:
        facts: of the run.
        name: of the model, its title.
        model: what stands for it in the lines that run it: ``hf:ORG/NAME``, or a file.
        picture: where the picture lies, seen from the card; None leaves it out.

    Raises:
        ConfigError: the hub's client, which knows the form of the head, is not installed.
    """
    shown = [] if picture is None else [f"![{_caption(facts)}]({picture})", f"*{_caption(facts)}*"]
    parts = [
        f"---\n{head(facts, name)}\n---", f"# {words(name)}", _what(facts),
        "## How good it is", *measured(facts), *shown,
        "## How to run it", *usage(facts, model),
        "## What it is not for", *limits(facts),
        "## Whose work is in it", *_terms(facts),
        "## How it was made", *_made(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _what(facts: Facts) -> str:
    kind, (low, high) = DepthKind(facts.card["depth_kind"]), facts.card["depth_range"]
    reach = f", {low:g} to {high:g} m" if kind is DepthKind.METRIC and high < 1e4 else ""
    taught = [code(spec) for spec in taught_by(facts.card)]
    teachers = f"distilled from {' and '.join(taught)}" if taught else "trained on measured depth"
    about = f", by the recipe {code(facts.manifest['recipe'])}" + (f": {words(facts.about)}" if facts.about else "")
    return (
        f"A monocular depth network of {amount(facts.parameters)} parameters: one photograph in, {KINDS[kind]} out"
        f"{reach}. It was {teachers} with [kdcli](https://pypi.org/project/kdcli/){about}."
    )


def _caption(facts: Facts) -> str:
    if facts.results:
        return "Held-out images, and the depth that each model gives; one range of colours, near is warm."
    return "Held-out images, and what teacher and student say of them; one range of colours, near is warm."


def _terms(facts: Facts) -> list[str]:
    """Return who taught the student, under which licence, and what that means for it."""
    rows = [
        [part, code(one["spec"]), words(one.get("licence") or "none stated"), words(one.get("training_data")),
         code(str(one["sha256"])[:16]) if one.get("sha256") else "-"]
        for part, one in origins(facts.card)
    ]
    data = facts.card.get("training_data")
    owned = data and not str(data).startswith("sim:")
    terms = "; the terms of that data are its owners'" if owned else ""
    images = [f"It learned on {code(data)}{terms}."] if data else []
    if not rows:
        return ["No network of others is in it.", *images]
    said = [
        f"- {code(one['spec'])} ({words(one.get('licence') or 'none stated')}) {meaning(one.get('licence'))}"
        for _, one in origins(facts.card)
    ]
    return [
        table(["part", "network", "licence", "trained on", "sha256 begins"], rows),
        "What that means for this student, as far as kdcli can tell (which is no legal advice):", "\n".join(said),
        *images,
    ]


def _made(facts: Facts) -> list[str]:
    manifest, command = facts.manifest, command_of(facts.run.manifest().get("argv", []))
    again = f"`{RECIPE}` beside this card holds every setting with its origin, and repeats the run:"
    said = [again, f"```console\n$ kdcli distill --recipe {RECIPE}\n```"]
    if command is not None:
        said += ["It was called as (folders of that machine are left out):", f"```console\n$ {command}\n```"]
    made_by = {**(manifest.get("versions") or {}), **(manifest.get("plugins") or {})}
    versions = ", ".join(f"{name} {version}" for name, version in made_by.items())
    plan = [row for row in manifest.get("plan") or [] if row["variant"] == "student"]
    facts_ = [
        ("student", code(facts.card["student"])), ("seed", str(manifest.get("seed", 0))),
        *((f"stage {words(row['stage'])}", f"{row['steps']} steps of {row['images']} images") for row in plan),
        ("begun", str(manifest.get("started", "-"))[:10]), ("device", words(manifest.get("device", "-"))),
        ("versions", words(versions)),
    ]
    return [*said, table(["what", "value"], [list(row) for row in facts_])]
