"""How a documented command is made short: options behind those that it has, by one rule for each command."""

from __future__ import annotations

CPU = ("--device", "cpu")
ONE = ("--batch-size", "1", "--workers", "0", *CPU)
TWO = ("--batch-size", "2", "--workers", "0", *CPU)
FEW = "sim:rooms,count=2,seed=1000"

ONE_ARM = {"backbones-mini": "lcnet", "data-free-nyu": "both", "tie-kd-nyu": "corrected", "tie-kd-kitti": "corrected",
           "zoo-mini": "attention", "pruning-mini": "whole"}
"""Studies of large networks, of many arms or of what others come to, of which one is measured: half a minute each."""

REASONS: dict[str, str] = {
    "kdcli distill --resume runs/small --logger": "that run is finished here; tests/training/test_loggers.py stops one",
    "kdcli runs watch studies/grid": "it takes a study's folder; tests/watching makes some",
    "kdcli demo ": "it runs until Ctrl-C; tests/demo ends it",
    "kdcli predict runs/small camera:0": "it needs a camera; tests/predict asks for one that is not there",
    "kdcli export runs/small --out small.onnx --verify-on": "it takes what a device gave; tests/exporters makes some",
    "kdcli export runs/small --out Small.mlpackage": "tests/examples writes one of a smaller network",
    "kdcli export runs/small --out small.onnx --size 240x320 --input uint8": "tests/examples writes one of less",
    "kdcli export without": "docs/int8.md runs one like it",
    "kdcli export with ": "docs/int8.md runs one like it",
    "kdcli eval without": "it takes the files of the lines before, which are not run",
    "kdcli export runs/small --out small.tflite": "LiteRT's converter takes minutes; tests/exporters runs it on less",
}
"""Beginning of a command that is not run -> why."""
REPEATING = frozenset({"questions.md"})
"""Pages that show commands of other pages, where they are run, once more."""


def shortened(words: list[str], *, kept: bool) -> list[str]:
    """Return a command with its shrinking options.

    ``distill`` and ``study`` do one real step of each kind and write nothing; a run that later lines of its block use,
    or that has a name of its own, is made, in two steps. ``fit-transform`` does one update. The others are small on
    small data, and run as they are.

    Args:
        words: the command, ``kdcli`` left out.
        kept: what it makes has a name, which later lines may use.
    """
    if "--resume" in words:
        return [*words, *CPU]
    match words[0]:
        case "distill":
            size = () if any("size" in word for word in words) else ("--size", "96x128")
            if not kept:
                return [*words, *ONE, *size, "--dry-run"]
            measured = () if "--eval-data" in words else ("--eval-data", FEW)
            fitted = () if {"--recipe", "--data"} & set(words) else ("--set", "fit.steps=1")
            return [*words, *TWO, *size, *measured, "--steps", "2", *fitted, "--set", "export=none"]
        case "study":
            one = ("--only", ONE_ARM[words[1]]) if words[1] in ONE_ARM and "--only" not in words else ()
            return [*words, *CPU, *one, *(() if "--dry-run" in words else ("--dry-run",))]
        case "fit-transform":
            return [*words, "--batch-size", "1", "--steps", "1", "--size", "96x128", *CPU]
        case "cache":
            return [*words, *ONE]
        case "eval":
            return [*words, "--limit", "1", *CPU]
        case "bench":
            of_models = () if "--recipe" in words else ("--no-memory",)
            return [*words, "--runs", "1", "--warmup", "0", *of_models, *CPU]
    return [*words, *CPU]


def not_run(words: list[str]) -> str | None:
    """Return why a command is not run; None for one that is."""
    line = " ".join(words)
    return next((why for beginning, why in REASONS.items() if line.startswith(beginning)), None)
