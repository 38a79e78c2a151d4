"""``kdcli fit-transform``: one stage that fits a transformation network, on its own; and the statistics to fit to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from kdcli.choosing import Built
from kdcli.config import RunConfig, StageConfig
from kdcli.errors import ConfigError
from kdcli.files import require_writable
from kdcli.training.loop.train import total_steps
from kdcli.training.run.fit_stage import FitFiles, fit_stage
from kdcli.training.run.provenance import teachers_behind
from kdcli.training.run.workshop import Workshop
from kdcli.training.seeds import seed_of
from kdcli.training.step.mixing import MixStep, apply
from kdcli.transform import load, record, write
from kdcli.types import Batch


def fit_transform(
    stage: StageConfig, path: Path, *, plot: Path | None = None, picture: Path | None = None, seed: int = 0,
    device: torch.device | str = "cpu", told: Callable[[str, int, int], None] | None = None, built: Built | None = None,
) -> dict[str, Any]:
    """Fit a network as a stage with ``train="transform"`` describes it, write it, and return its provenance.

    ``plot`` and ``picture`` are drawn beside it, as PNG; see ``fit_stage``. The document holds their names, ``notes``,
    ``before`` and ``after`` (statistics loss on images set aside), ``change``, ``layers``, ``steps``, ``seconds``, the
    teacher and the data. ``told`` hears what is being done, how far it is, and of how much. ``built``
    holds what is there already.

    Raises:
        ConfigError: a name that does not end in ``.safetensors``, or a teacher without statistics.
        DataError, PluginError, WeightsError: the source or the teacher cannot be used.
    """
    files = FitFiles.beside(path, plot, picture)
    for drawn in (files.plot, files.picture):
        if drawn.suffix != ".png":
            raise ConfigError(f"'{drawn}' does not end in .png; write '{drawn.with_suffix('.png')}'")
        require_writable(drawn)
    shop = _shop(stage, path, seed, device, built)
    _, notes = fit_stage(shop, stage, files, told or (lambda what, done, total: None))
    return {"out": str(path), **files.document(), "notes": notes, **load(path)[1]}


def kept_of(path: Path) -> Path | None:
    """Return where an interrupted fit of a file was kept; None where it was not."""
    state = FitFiles.beside(path).state
    return state if state.is_file() else None


def record_statistics(
    stage: StageConfig, path: Path, *, taps: Sequence[str] | None = None, seed: int = 0,
    device: torch.device | str = "cpu", told: Callable[[str, int, int], None] | None = None, built: Built | None = None,
) -> dict[str, Any]:
    """Record a teacher's feature statistics on a stage's images, write them, and return their provenance.

    The images are those of ``stage.data`` at ``stage.size``, mixed as the stage says, for its steps or epochs.

    Raises:
        ConfigError: a name that does not end in ``.safetensors``, several teachers, or one without the taps.
        DataError, PluginError, WeightsError: the source or the teacher cannot be used.
    """
    shop = _shop(stage, path, seed, device, built)
    teachers = shop.teachers(stage)
    if len(teachers) != 1:
        raise ConfigError(f"statistics are recorded of one teacher, not of {len(teachers)}")
    feed, mixers = shop.feed(stage), shop.mixers(stage, None)
    steps = total_steps(stage, feed)
    generator = torch.Generator(device=shop.device)

    def batches() -> Iterator[Batch]:
        for step, batch in enumerate(feed.batches(0, steps)):
            generator.manual_seed(seed_of(seed, stage.name, step))
            yield apply(
                batch, mixers, MixStep(step=step, stage=stage.name, progress=step / steps, generator=generator)
            )

    hear = told or (lambda what, done, total: None)
    found = record(
        next(iter(teachers.values())), batches(), taps, told=lambda done: hear("seen", done, steps * stage.batch_size)
    )
    facts = {
        "teacher": teachers_behind(shop, [stage])[0], "data": stage.data, "size": list(stage.size),
        "taps": list(found.mean),
        **found.provenance,
    }
    write(replace(found, provenance=facts), path)
    return {"record": str(path), **facts}


def _shop(
    stage: StageConfig, path: Path, seed: int, device: torch.device | str, built: Built | None
) -> Workshop:
    """Return a workshop for one stage whose result is to be written."""
    if path.suffix != ".safetensors":
        raise ConfigError(f"'{path}' does not end in .safetensors; write '{path.with_suffix('.safetensors')}'")
    require_writable(path)  # before the work whose result it is to hold
    config = RunConfig(recipe="fit-transform", seed=seed, stages=(stage,))
    return Workshop(config=config, device=torch.device(device), built=built or Built())
