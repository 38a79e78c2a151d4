"""A run as far as anybody said it, before it is checked: values may still be ``auto``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kdcli.config.auto import RUN_AUTO, STAGE_AUTO, left_open


@dataclass(kw_only=True)
class Draft:
    """Keys of a run and of its stages as far as anybody said them, with where each value came from."""

    recipe: str
    run: dict[str, Any]
    stages: list[dict[str, Any]]
    twin: dict[str, Any] | None
    origins: dict[str, str]
    reasons: list[str] = field(default_factory=list)
    """Why values are what they are where nobody said them, each in a few words."""

    @property
    def main(self) -> dict[str, Any]:
        """The last stage that trains the student."""
        return [stage for stage in self.stages if stage.get("train", "student") == "student"][-1]

    @property
    def open(self) -> list[tuple[str, str]]:
        """What is left to be chosen: stage (or ``run``) and key."""
        found = [("run", key) for key in RUN_AUTO if left_open(key, self.run.get(key))]
        return found + [
            (str(stage["name"]), key) for stage in self.stages for key in STAGE_AUTO if left_open(key, stage.get(key))
        ]

    def put(self, where: dict[str, Any], key: str, value: Any, origin: str) -> None:
        """Set a key of the run or of a stage; ``where`` is that table."""
        where[key] = value
        self.origins[f"{'run' if where is self.run else where['name']}.{key}"] = origin

    def origin(self, where: dict[str, Any], key: str) -> str:
        """Return where a value came from."""
        return self.origins.get(f"{'run' if where is self.run else where['name']}.{key}", "default")
