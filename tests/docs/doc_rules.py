"""How a documented command is made short: options behind those that it has, by one rule for each command."""

from __future__ import annotations

SHORT = ("--batch-size", "2", "--workers", "0", "--device", "cpu")
FEW = "sim:rooms,count=2,seed=1000"

REASONS: dict[str, str] = {}
"""Beginning of a command that is not run -> why."""


def shortened(words: list[str], *, used_later: bool) -> list[str]:
    """Return a command with its shrinking options.

    ``distill`` and ``study`` do one real step of each kind and write nothing; a run that later lines of its block use,
    or that has a name of its own, is made, in two steps. ``fit-transform`` does one update. The others are small on
    small data, and run as they are.

    Args:
        words: the command, ``kdcli`` left out.
        used_later: later lines need what it makes.
    """
    if words[0] == "distill" and "--resume" not in words:
        size = () if any("size" in word for word in words) else ("--size", "96x128")
        if not used_later:
            return [*words, *SHORT, *size, "--dry-run"]
        more = [] if "--eval-data" in words else ["--eval-data", FEW]
        return [*words, *SHORT, *size, *more, "--steps", "2", "--set", "log_every=1"]
    if words[0] == "study":
        return [*words, *SHORT[-2:], *([] if "--dry-run" in words else ["--dry-run"])]
    if words[0] == "fit-transform":
        return [*words, *SHORT[:2], *SHORT[-2:], "--steps", "1"]
    if words[0] == "cache":
        return [*words, *SHORT]
    if words[0] == "eval":
        return [*words, "--device", "cpu", "--limit", "2"]
    return [*words, "--device", "cpu"]


def not_run(words: list[str]) -> str | None:
    """Return why a command is not run; None for one that is."""
    line = " ".join(words)
    return next((why for beginning, why in REASONS.items() if line.startswith(beginning)), None)
