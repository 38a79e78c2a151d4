"""What a run and its stages are made of: frozen, checked, with a default for every key."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from kdcli.config.ranges import check_augmentation, check_schedule
from kdcli.config.views import has_views
from kdcli.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """One stage of a run: what is trained, by whom, on what, for how long."""

    name: str
    train: Literal["student", "transform"] = "student"
    """``student``, or ``transform``: fit the transformation network to the teacher's statistics."""
    data: str = "sim:blocks"
    teachers: tuple[str, ...] = ("demo",)
    losses: tuple[tuple[str, float], ...] = (("log-l1", 1.0),)
    """Distillation terms: loss spec and weight."""
    task_loss: str | None = None
    """A loss against ground truth where an image has it; needs a loss with a per-pixel map."""
    task_weight: float = 1.0
    mixers: tuple[str, ...] = ()
    teacher_cache: str = "none"
    """Where the teachers' depth is kept: ``none`` (they are asked in every step), ``auto`` (below the user's cache), a
    folder, or ``gt-kd:DIR[,max_depth=M]`` in the layout of TIE-KD's authors."""
    teacher_flip: Literal["auto", "true", "false"] = "auto"
    """Whether kept depth is the mean of an image's and its mirror image's; ``auto``: as the teacher's ``read_out``."""
    teacher_storage: Literal["auto", "png16", "float16", "float32"] = "auto"
    """How depth is kept; ``auto``: ``png16`` for depth, ``float16`` for numbers of unknown offset."""
    views: tuple[tuple[str, float], ...] = ()
    """Images that the student's losses are taken on, each with its weight: of ``plain`` (as they came), ``mixed``
    (after the mixers) and ``transformed`` (after the transformation network). Empty: the final images, weight 1."""
    transform: str = "none"
    """``none``, ``fitted`` (by an earlier stage of this run), ``joint`` (learned together with the student) or a file
    written by fit-transform."""
    transform_gradient: bool = False
    """Whether the student's losses reach a transformation network that is learned jointly."""
    transform_share: float = 1.0
    """Share of the images that pass the transformation network; the others stay as they are."""
    network: Literal["residual", "affine", "both"] = "both"
    """Form of a transformation network that is fitted or learned jointly."""
    network_width: int = 32
    """Channels inside a transformation network that is fitted."""
    network_layers: int = 2
    """Convolutions between the first and the last one of a transformation network."""
    transform_lr: float | None = None
    """Learning rate of a transformation network; the stage's ``lr`` where it is not given."""
    norm: Literal["l2", "relative"] = "relative"
    """How the statistics of a fitted transformation network are compared: ``relative`` to the teacher's spread, so
    that all layers count alike, or plain ``l2``."""
    statistics: str = "none"
    """File of recorded feature statistics that a transformation network is fitted to; ``none``: the teacher's batch
    norms."""
    statistics_layers: tuple[str, ...] = ()
    """Layers whose statistics count: names, patterns with ``*``, ``first:N``, ``last:N``, ``every:K``, ``!`` in
    front of what does not; all where none is given."""
    statistics_weights: tuple[tuple[str, float], ...] = ()
    """Weights of layers other than 1, by name, pattern or place."""
    statistics_first: float = 1.0
    """Further weight of the layer that runs first."""
    content: float = 1.0
    """Weight of the content term that holds a fitted transformation network to the image."""
    steps: int | None = None
    epochs: int | None = None
    batch_size: int = 16
    size: tuple[int, int] = (96, 128)
    """Height and width that images are brought to: those of training without a ``crop``, and those of evaluation."""
    crop: tuple[int, int] | None = None
    """Height and width of a window cut out of each image at random: what mixers and networks see in training."""
    flip: bool = True
    """Mirror half of the images, before the mixers."""
    rotate: float = 0.0
    """Largest angle in degrees by which images are rotated about their middle, either way; black and without depth
    where nothing was seen."""
    rotate_probability: float = 0.5
    """Share of the images that are rotated."""
    rotate_taught: bool = True
    """Whether a cached map of the teacher is rotated with its image. TIE-KD's released code leaves it upright; mirror
    and crop move it in any case."""
    jitter: float = 0.0
    """Strength of random brightness, contrast and colour changes, before the mixers."""
    gamma: tuple[float, float] = (1.0, 1.0)
    """Range of the random power that images (0..1) are raised to."""
    brightness: tuple[float, float] = (1.0, 1.0)
    """Range of the random factor on an image."""
    colour: tuple[float, float] = (1.0, 1.0)
    """Range of the random factors on an image's channels."""
    colour_probability: float = 0.5
    """Share of the images that gamma, brightness and colour change, all three."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 1e-3
    """Learning rate at the peak of its schedule."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the averages of gradients and of their squares (adamw, adam)."""
    weight_decay: float = 0.01
    decay_norms: bool = False
    """Whether biases and the weights of norms decay as well: all parameters, as PyTorch does by itself."""
    schedule: Literal["onecycle", "cosine", "step", "constant"] = "onecycle"
    """``onecycle``: cosine up, cosine down. ``cosine``: linear up, cosine down to 0. ``step``: halved at every
    quarter."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises (onecycle, cosine)."""
    start_factor: float = 0.04
    """Where onecycle begins, as a share of ``lr``: 1 / ``div_factor`` of PyTorch's OneCycleLR."""
    end_factor: float = 1e-4
    """Where onecycle ends, as a share of ``lr``: 1 / (``div_factor`` * ``final_div_factor``) of PyTorch's."""
    clip: float = 1.0
    """Largest gradient norm over student and plugin parameters; 0 = no clipping."""
    accumulate: int = 1
    """Batches whose gradients are summed before one update."""
    ema: float = 0.0
    """Decay of the averaged student that is kept; 0 = the plain one."""
    amp: Literal["auto", "bf16", "off"] = "auto"
    """``auto``: bf16 autocast on CUDA devices that have it. ``bf16``: also on a CPU."""
    workers: int = 0
    """Processes that decode files; simulated sources render on the device instead."""
    log_every: int = 10
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        """Check ranges and pairs.

        Raises:
            ConfigError: the offending value, in one line.
        """
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(
                f"stage '{self.name}' needs either steps or epochs, not both; use --steps N or --epochs N"
            )
        for key in ("steps", "epochs", "batch_size", "accumulate", "log_every", "checkpoint_every", "network_width"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"{key}={value} of stage '{self.name}' must be at least 1")
        for key in ("lr", "transform_lr"):
            if getattr(self, key) is not None and not 0 < getattr(self, key) < math.inf:
                raise ConfigError(f"{key}={getattr(self, key)} of stage '{self.name}' must be a number above 0")
        weights = {f"the weight of loss '{name}'": weight for name, weight in self.losses}
        weights |= {f"views.{name}": weight for name, weight in self.views}
        weights |= {f"the weight of layer '{name}'": weight for name, weight in self.statistics_weights}
        names = ("weight_decay", "clip", "jitter", "content", "task_weight", "workers")
        network = ("network_layers", "statistics_first")
        for key, value in (weights | {name: getattr(self, name) for name in (*names, *network)}).items():
            if not 0 <= value < math.inf:
                raise ConfigError(f"{key}={value} of stage '{self.name}' must be a number that is not negative")
        teaches = any(weight for _, weight in self.losses) or (self.task_loss is not None and self.task_weight)
        if self.train == "student" and not teaches:
            raise ConfigError(f"stage '{self.name}' has no loss with a weight above 0; use --loss NAME=WEIGHT")
        if self.views and not any(weight for _, weight in self.views):
            raise ConfigError(f"views of stage '{self.name}' have no weight above 0; leave them out")
        for key in ("ema", "warmup", "transform_share"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"{key}={getattr(self, key)} of stage '{self.name}' must lie in 0..1")
        if min(self.size) < 32:
            raise ConfigError(f"size={self.size[0]}x{self.size[1]} of stage '{self.name}' is below 32 pixels")
        if self.teacher_cache != "none":
            self._check_cache()
        if not self.teachers:
            raise ConfigError(f"stage '{self.name}' has no teacher; use --teacher SPEC")
        check_augmentation(self)
        check_schedule(self)

    @property
    def seen(self) -> tuple[int, int]:
        """Height and width of the images that networks are trained on."""
        return self.crop or self.size

    def _check_cache(self) -> None:
        """Refuse to keep what a teacher says of images that no two steps show alike."""
        changed = [f"mixer {mixer}" for mixer in self.mixers if mixer != "none"]
        changed += [f"transform {self.transform}"] if self.transform != "none" else []
        changed += ["train=transform"] if self.train == "transform" else []
        if changed:
            raise ConfigError(
                f"teacher_cache={self.teacher_cache} of stage '{self.name}' would keep depth of images that its "
                f"{changed[0]} changes; leave one of the two out"
            )


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
