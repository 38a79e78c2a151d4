"""Recipe, flags and ``--set`` -> one frozen, validated configuration that knows where each value came from.

A recipe is TOML and only data: ``[run]`` (student, seed, evaluation), ``[defaults]`` for all stages, an ordered list of
``[[stage]]`` and, where a gain is to be measured, a ``[twin]``: the keys in which the run without the method differs.
Precedence: built-in default < recipe defaults < stage < flag < ``--set``. Unknown keys are errors.
"""

from __future__ import annotations

import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from kdcli.errors import ConfigError, nearest
from kdcli.spec import parse, parse_size


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
    transform: str = "none"
    """``none``, ``fitted`` (by an earlier stage of this run) or a file written by fit-transform."""
    transform_share: float = 1.0
    """Share of the images that pass the transformation network; the others stay as they are."""
    network: Literal["residual", "affine", "both"] = "both"
    """Form of a transformation network that is fitted."""
    norm: Literal["l2", "relative"] = "relative"
    """How the statistics of a fitted transformation network are compared: ``relative`` to the teacher's spread, so
    that all layers count alike, or plain ``l2``."""
    content: float = 1.0
    """Weight of the content term that holds a fitted transformation network to the image."""
    steps: int | None = None
    epochs: int | None = None
    batch_size: int = 16
    size: tuple[int, int] = (96, 128)
    """Height and width of the images in training."""
    flip: bool = True
    """Mirror half of the images, before the mixers."""
    jitter: float = 0.0
    """Strength of random brightness, contrast and colour changes that only the student sees."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    schedule: Literal["onecycle", "cosine", "step", "constant"] = "onecycle"
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises (onecycle, cosine)."""
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
            raise ConfigError(f"stage '{self.name}' needs either steps or epochs, not both; use --steps N or --epochs N")
        for key in ("steps", "epochs", "batch_size", "accumulate", "log_every", "checkpoint_every"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"{key}={value} of stage '{self.name}' must be at least 1")
        for key in ("lr",):
            if not getattr(self, key) > 0:
                raise ConfigError(f"{key}={getattr(self, key)} of stage '{self.name}' must be above 0")
        for key in ("weight_decay", "clip", "jitter", "content", "task_weight", "workers"):
            if not getattr(self, key) >= 0:
                raise ConfigError(f"{key}={getattr(self, key)} of stage '{self.name}' must not be negative")
        for key in ("ema", "warmup", "transform_share"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"{key}={getattr(self, key)} of stage '{self.name}' must lie in 0..1")
        if min(self.size) < 32:
            raise ConfigError(f"size={self.size[0]}x{self.size[1]} of stage '{self.name}' is below 32 pixels")
        if not self.teachers:
            raise ConfigError(f"stage '{self.name}' has no teacher; use --teacher SPEC")


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinConfig:
    """The run without the method: what differs from the run itself. Student, steps, seed and images are the same."""

    label: str = "twin"
    mixers: tuple[str, ...] | None = None
    transform: str | None = None
    losses: tuple[tuple[str, float], ...] | None = None
    teachers: tuple[str, ...] | None = None

    def stages(self, stages: Iterable[StageConfig]) -> tuple[StageConfig, ...]:
        """Return the twin's stages: the student's, with the differing keys replaced."""
        changes: dict[str, Any] = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name != "label" and getattr(self, f.name) is not None
        }
        return tuple(replace(stage, **changes) for stage in stages if stage.train == "student")


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


_RUN_KEYS = ("about", "student", "seed", "eval_data", "protocol", "align", "export")
_MAIN_FLAGS = ("steps", "epochs", "lr")  # flags that mean the main stage alone


def load(
    recipe: str, text: str, flags: Mapping[str, Any] | None = None, settings: Iterable[str] = (), *, twin: bool = True
) -> RunConfig:
    """Resolve a recipe's TOML text with flags and ``KEY=VALUE`` settings.

    ``flags`` holds run and stage keys; those that are None count as not given.

    Raises:
        ConfigError: TOML that does not parse, unknown keys, values of the wrong type or range.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"recipe '{recipe}' is not TOML: {error}") from None
    _known(document, ("run", "defaults", "stage", "twin"), f"recipe '{recipe}'")
    if not document.get("stage"):
        raise ConfigError(f"recipe '{recipe}' has no [[stage]]")
    origins: dict[str, str] = {}
    run = _keys(document.get("run", {}), _RUN_KEYS, RunConfig, f"[run] of '{recipe}'")
    origins |= {f"run.{key}": "recipe" for key in run}
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    for key in [key for key in given if key in _RUN_KEYS]:
        run[key], origins[f"run.{key}"] = given.pop(key), "flag"
    stage_keys = tuple(f.name for f in fields(StageConfig))
    shared = _keys(document.get("defaults", {}), stage_keys, StageConfig, f"[defaults] of '{recipe}'")
    stages = [
        {**shared, **_keys(table, stage_keys, StageConfig, f"[[stage]] of '{recipe}'")} for table in document["stage"]
    ]
    for i, stage in enumerate(stages):
        stage.setdefault("name", f"stage{i + 1}")
        origins |= {f"{stage['name']}.{key}": "recipe" for key in stage}
    if not any(stage.get("train", "student") == "student" for stage in stages):
        raise ConfigError(f"recipe '{recipe}' has no stage that trains the student")
    stages = _apply_flags(stages, given, origins)
    for setting in settings:
        _apply_setting(run, stages, setting, origins)
    table = _keys(document.get("twin", {}), tuple(f.name for f in fields(TwinConfig)), TwinConfig, f"[twin] of '{recipe}'")
    built = tuple(StageConfig(**stage) for stage in stages)
    config = RunConfig(
        recipe=recipe, stages=built, origins=origins, twin=TwinConfig(**table) if "twin" in document and twin else None, **run
    )
    _check(config)
    return config


def dump(config: RunConfig) -> str:
    """Write a configuration as a recipe that repeats it, each value followed by its origin."""
    lines = ["[run]"]
    for key in _RUN_KEYS:
        lines += _line(key, getattr(config, key), config.origins.get(f"run.{key}", "default"))
    for stage in config.stages:
        lines += ["", "[[stage]]"]
        for f in fields(StageConfig):
            lines += _line(f.name, getattr(stage, f.name), config.origins.get(f"{stage.name}.{f.name}", "default"))
    if config.twin is not None:
        lines += ["", "[twin]"]
        for f in fields(TwinConfig):
            lines += _line(f.name, getattr(config.twin, f.name), "recipe")
    return "\n".join(lines) + "\n"


def _apply_flags(stages: list[dict[str, Any]], given: dict[str, Any], origins: dict[str, str]) -> list[dict[str, Any]]:
    transform = given.pop("transform", None)
    if transform is not None and transform != "fitted":
        # A file or ``none`` takes the place of whatever the recipe would fit.
        stages = [stage for stage in stages if stage.get("train", "student") == "student"]
    students = [stage for stage in stages if stage.get("train", "student") == "student"]
    for stage in stages:
        main = stage is students[-1]
        for key, value in given.items():
            if key in _MAIN_FLAGS and not main:
                continue
            if key == "losses" and stage not in students:
                continue
            stage[key], origins[f"{stage['name']}.{key}"] = value, "flag"
            if key in ("steps", "epochs"):
                stage["epochs" if key == "steps" else "steps"] = None
        if transform is not None and stage in students:
            stage["transform"], origins[f"{stage['name']}.transform"] = transform, "flag"
    return stages


def _apply_setting(run: dict[str, Any], stages: list[dict[str, Any]], setting: str, origins: dict[str, str]) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set '{setting}' is not KEY=VALUE; write for example --set distill.lr=1e-4")
    where, _, name = key.strip().replace("-", "_").rpartition(".")
    known = [f.name for f in fields(StageConfig)]
    if name in _RUN_KEYS and where in ("", "run"):
        run[name], origins[f"run.{name}"] = _convert(name, _literal(text), RunConfig, f"--set {key}"), "--set"
        return
    if name not in known:
        raise ConfigError(f"--set '{key}' is unknown.{nearest(name, [*known, *_RUN_KEYS])}")
    chosen = [stage for stage in stages if where in ("", stage["name"])]
    if not chosen:
        raise ConfigError(f"--set '{key}': there is no stage '{where}'.{nearest(where, [s['name'] for s in stages])}")
    value = _convert(name, _literal(text), StageConfig, f"--set {key}")
    for stage in chosen:
        stage[name], origins[f"{stage['name']}.{name}"] = value, "--set"
        if name in ("steps", "epochs"):
            stage["epochs" if name == "steps" else "steps"] = None


def _literal(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _known(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in table:
        if key.replace("-", "_") not in known:
            raise ConfigError(f"{where} has an unknown key '{key}'.{nearest(key, known)}")


def _keys(table: Mapping[str, Any], known: tuple[str, ...], owner: type, where: str) -> dict[str, Any]:
    _known(table, known, where)
    return {k.replace("-", "_"): _convert(k.replace("-", "_"), v, owner, f"{where}: {k}") for k, v in table.items()}


def _convert(key: str, value: Any, owner: type, where: str) -> Any:
    kind = typing.get_type_hints(owner)[key]
    if key == "size":
        return parse_size(value) if isinstance(value, str) else tuple(value)
    if key == "losses":
        if isinstance(value, str):
            value = {value: 1.0}
        if isinstance(value, Mapping) and all(isinstance(w, int | float) for w in value.values()):
            return tuple((name, float(weight)) for name, weight in value.items())
        raise ConfigError(f"{where} must be a table of loss = weight, not {value!r}")
    if key in ("teachers", "mixers"):
        value = [value] if isinstance(value, str) else value
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ConfigError(f"{where} must be a list of specs, not {value!r}")
    return _check_type(value, kind, where)


def _check_type(value: Any, kind: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where}={value!r} is not one of {', '.join(arguments)}.{nearest(str(value), arguments)}")
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None or value == "none":
            return None
        kind = next(argument for argument in arguments if argument is not type(None))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{where}={value!r} must be {kind.__name__}")
    return value


def _check(config: RunConfig) -> None:
    names = [stage.name for stage in config.stages]
    if len(set(names)) != len(names):
        raise ConfigError(f"stages need different names, not {', '.join(names)}")
    fitted = False
    for stage in config.stages:
        fitted = fitted or stage.train == "transform"
        if stage.train == "student" and stage.transform == "fitted" and not fitted:
            raise ConfigError(f"stage '{stage.name}' wants a fitted transformation, but no earlier stage fits one")
        for text in (config.student, stage.data, *stage.teachers, *stage.mixers, *(name for name, _ in stage.losses)):
            parse(text)


def _line(key: str, value: Any, origin: str) -> list[str]:
    if value is None:
        return [] if key != "export" else ['export = "none"  # ' + origin]
    return [f"{key} = {_toml(value, key)}  # {origin}"]


def _toml(value: Any, key: str = "") -> str:
    if key == "size":
        return f'"{value[0]}x{value[1]}"'
    if key == "losses":
        return "{ " + ", ".join(f"{_toml(name)} = {weight!r}" for name, weight in value) + " }"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)



def loss_weights(flags: Iterable[str] | None) -> tuple[tuple[str, float], ...] | None:
    """Parse ``--loss NAME=WEIGHT`` flags; the weight is what follows the last ``=``, or 1 where there is none.

    Raises:
        ConfigError: a weight that is no number.
    """
    if not flags:
        return None
    weights = []
    for flag in flags:
        name, equals, text = flag.rpartition("=")
        if not equals:
            name, text = flag, "1"
        try:
            weights.append((name, float(text)))
        except ValueError:
            raise ConfigError(f"--loss '{flag}' has no number as its weight; write NAME=WEIGHT, for example l1=0.5") from None
    return tuple(weights)
