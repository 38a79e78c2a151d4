"""One command at a time: the module of a command is imported, and its options are made, when it is asked for.

Help of all commands needs their names and first lines alone. These stand here once more; a test holds them together.
"""

from __future__ import annotations

import importlib
from collections import UserDict
from typing import Any

import typer
from typer.main import get_group

from kdcli.cli.light import LightGroup, lighten

GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Make a student": {
        "distill": ("distill", "Distil a teacher into a student, measure it beside teacher and twin, and export it."),
        "study": ("study", "Run a grid of recipes, image counts and seeds, and compare them in one table."),
        "calibrate": (
            "calibrate", "Bring a student's numbers to metres by images with measured depth, in a new student file.",
        ),
        "recipes": ("recipes", "Recipes: list, show, copy to edit."),
        "data": ("data", "Check a data set for traps, look at it, divide it, or convert it."),
    },
    "Look at it": {
        "predict": (
            "predict",
            "Predict depth: raw numbers with their meaning in a JSON sidecar, and a colour map with a legend.",
        ),
        "eval": (
            "evaluate",
            "Measure models on the same images under a named protocol; every number comes with its interval.",
        ),
        "demo": (
            "demo",
            "Open a page on this machine: a picture, what models say of it side by side, and its points in space.",
        ),
        "runs": ("runs", "Runs: list, watch, show, compare."),
        "explain": (
            "explain",
            "Draw what a student says at pixels, beside its teacher.",
        ),
    },
    "Take it along": {
        "export": ("export", "Export a model, run the file, and keep it only if it gives the model's numbers."),
        "bench": (
            "bench",
            "Measure how long models and exported files take on this machine, side by side, and what they cost.",
        ),
        "push": ("push", "Bring a student to the hub: its weights, exported files and model card, as hf:ORG/NAME."),
        "pull": ("pull", "Fetch a student from the hub, each file checked, into the hub's cache or a folder."),
        "card": ("card", "Write a model card from a finished run: what it is, how good, how to run it, its limits."),
    },
    "Look behind": {
        "mix": ("mix", "Write a reproducible set of mixed images: PNGs, instance maps and a manifest."),
        "fit-transform": (
            "fit_transform",
            "Fit a network that carries images into the statistics that a teacher remembers, or record these.",
        ),
        "cache": ("cache", "Make or check a folder of a teacher's depth maps, for the stage key teacher_cache."),
        "weights": ("weights", "Weights of others: list, locate, pull, convert."),
        "plugins": ("plugins", "Plugins: list, describe, check, begin."),
        "doctor": (
            "doctor",
            "Examine this machine: versions, devices, memory, disk, cache, plugins. "
            "Fails only where nothing would run.",
        ),
    },
}
"""What one wants -> the commands for it, the main one first: module beside this one, and the first line of help."""
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}
"""Command -> its module and the first line of its help."""


class LazyGroup(LightGroup):
    """The group of all commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands(dict.fromkeys(COMMANDS))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and first lines under what one wants; no command is made for that."""
        wide = max(map(len, COMMANDS))
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{wide}}", line) for name, (_, line) in group.items()])


class _Commands(UserDict[str, Any]):
    """Commands by name, each made when it is first taken out."""

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            self.data[name] = _make(name)
        return self.data[name]


def _make(name: str) -> Any:
    """Import a command's module and make the command, with all below it."""
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    importlib.import_module(f"kdcli.cli.{COMMANDS[name][0]}").register(app)
    lighten(app)
    return get_group(app).commands[name]
