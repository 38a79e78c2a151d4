"""How a run tells what it is and why, where the user left that open."""

from __future__ import annotations

from typing import Any

from kdcli.config import RunConfig


def choice_of(config: RunConfig) -> dict[str, Any]:
    """Return recipe and reasons, for manifest and JSON."""
    return {"recipe": config.recipe, "reasons": list(config.reasons)}


def told(config: RunConfig) -> str:
    """Return recipe and reasons in one line."""
    return f"recipe {config.recipe}: {'; '.join(config.reasons)}"
