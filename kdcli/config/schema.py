"""What a run and its stages are made of: frozen, checked, with a default for every key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from kdcli.config.ranges import check_stage
from kdcli.config.stage import StageKeys
from kdcli.config.views import has_views


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig(StageKeys):
    """One stage of a run, checked when it is made."""

    def __post_init__(self) -> None:
        """Check ranges and pairs.

        Raises:
            ConfigError: the offending value, in one line.
        """
        check_stage(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinConfig:
    """The run without the method: what differs from the run itself. Student, steps, seed and images are the same."""

    label: str = "twin"
    mixers: tuple[str, ...] | None = None
    transform: str | None = None
    losses: tuple[tuple[str, float], ...] | None = None
    teachers: tuple[str, ...] | None = None
    views: tuple[tuple[str, float], ...] | None = None
    """Where they are not said they are those of the stage, if the twin has all of these images, else the final ones."""

    def stages(self, stages: Iterable[StageConfig]) -> tuple[StageConfig, ...]:
        """Return the twin's stages: the student's, with the differing keys replaced."""
        changes: dict[str, Any] = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name != "label" and getattr(self, f.name) is not None
        }
        made = [replace(stage, **changes) for stage in stages if stage.train == "student"]
        return tuple(
            stage if self.views is not None or has_views(stage) else replace(stage, views=()) for stage in made
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """A whole run, resolved."""

    recipe: str
    about: str = ""
    student: str = "mobilenet"
    seed: int = 0
    eval_data: str | None = None
    protocol: str = "plain"
    align: str | None = None
    eval_size: tuple[int, int] | Literal["training", "native"] = "training"
    """Height and width that models see evaluation images at: ``training`` for the main stage's ``size``, ``native`` for
    that of the images themselves."""
    export: str | None = "onnx"
    """Format that the finished student is exported to; none to leave it out."""
    stages: tuple[StageConfig, ...]
    twin: TwinConfig | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each value came from: ``default``, ``recipe``, ``flag`` or ``--set``."""

    @property
    def main(self) -> StageConfig:
        """The last stage that trains the student."""
        return [stage for stage in self.stages if stage.train == "student"][-1]

    @property
    def evaluated_at(self) -> tuple[int, int] | None:
        """Height and width of evaluation images; None = as they are."""
        if self.eval_size == "training":
            return self.main.size
        return None if self.eval_size == "native" else self.eval_size


RUN_KEYS = ("about", "student", "seed", "eval_data", "protocol", "align", "eval_size", "export")
"""Keys of ``[run]`` in a recipe."""
