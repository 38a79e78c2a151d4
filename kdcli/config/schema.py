"""What a run and its stages are made of: frozen, checked, with a default for every key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from kdcli.config.looks import has_looks
from kdcli.config.loss_specs import loss_spec
from kdcli.config.ranges import check_holdout, check_stage
from kdcli.config.references import origin_of, trains_student
from kdcli.config.stage import StageKeys
from kdcli.spec import check_seed


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
    freeze: tuple[str, ...] | None = None
    looks: tuple[tuple[str, float], ...] | None = None
    """Where they are not said they are those of the stage, if the twin has all of these images, else the final ones."""

    def stages(self, stages: Iterable[StageConfig]) -> tuple[StageConfig, ...]:
        """Return the twin's stages: those that train the run's student, with the differing keys replaced.

        What other stages came to (an auxiliary teacher) is the run's. One that trains losses alone is left out where
        the twin has losses of its own, and what the twin does not have is not frozen.
        """
        known = tuple(stages)
        changes: dict[str, Any] = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("label", "freeze") and getattr(self, f.name) is not None
        }
        made = [
            replace(stage, **changes, freeze=self._frozen(stage)) for stage in known
            if trains_student(known, stage) or (self.losses is None and _trains_losses(known, stage))
        ]
        return tuple(
            stage if self.looks is not None or has_looks(stage) else replace(stage, looks=()) for stage in made
        )


    def _frozen(self, stage: StageConfig) -> tuple[str, ...]:
        if self.freeze is not None:
            return self.freeze
        if self.losses is None:
            return stage.freeze
        there = {loss_spec(text).name for text, _ in self.losses}
        return tuple(entry for entry in stage.freeze if entry in there or entry.partition(".")[0] == "student")


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
    holdout: float = 0.0
    """Share of the main stage's images that no stage trains on: student and twin are held against the teacher there."""
    holdout_by: Literal["index", "folder"] = "index"
    """Which: ``index`` takes stretches of neighbouring images of the listing, ``folder`` whole folders."""
    pretrained: bool | None = None
    """Whether the student begins with pretrained weights in its encoder, where its spec does not say; None leaves it to
    the student, and those of kdcli begin at random."""
    loggers: tuple[str, ...] = ("auto",)
    """Specs of who is told how the run gets on; ``auto``: ``tensorboard`` where that package is installed. What a run
    does is the same with any."""
    stages: tuple[StageConfig, ...]
    twin: TwinConfig | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each value came from: ``default``, ``recipe``, ``flag``, ``--set``, ``auto`` or ``follows KEY``."""
    reasons: tuple[str, ...] = ()
    """Why the recipe was chosen and values are what they are where nobody said them, each in a few words."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: the offending value, in one line.
        """
        check_holdout(self.holdout)
        check_seed(self.seed, "seed")

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


RUN_KEYS = (
    "about", "student", "seed", "eval_data", "protocol", "align", "eval_size", "export", "holdout", "holdout_by",
    "pretrained", "loggers",
)
"""Keys of ``[run]`` in a recipe."""


def _trains_losses(stages: tuple[StageConfig, ...], stage: StageConfig) -> bool:
    return stage.train == "student" and origin_of(stages, stage) is None and "student" in stage.freeze
