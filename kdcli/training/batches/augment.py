"""Augmentation on the device, before the mixers: what a stage asks for, in one order.

First what moves (mirror, rotation, crop; ``geometry.py``), then what only looks different (``photometric.py``). Random
numbers are drawn for what is switched on alone, in that order, from the one generator.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from kdcli.config import StageConfig
from kdcli.training.batches.geometry import mirror, turn_and_crop
from kdcli.training.batches.photometric import jitter, tone
from kdcli.training.seeds import seed_of
from kdcli.types import Batch

_SAME = (1.0, 1.0)


def augment(batch: Batch, stage: StageConfig, generator: torch.Generator) -> Batch:
    """Return the batch as mixers and networks see it: images at the stage's ``crop``, else at its ``size``."""
    if stage.flip:
        batch = mirror(batch, generator)
    if stage.rotate or stage.crop:
        batch = turn_and_crop(
            batch,
            rotate=stage.rotate,
            rotate_probability=stage.rotate_probability,
            rotate_taught=stage.rotate_taught,
            crop=stage.crop,
            generator=generator,
        )
    if stage.jitter:
        batch = replace(batch, image=jitter(batch.image, stage.jitter, generator))
    if (stage.gamma, stage.brightness, stage.colour) != (_SAME, _SAME, _SAME):
        batch = replace(
            batch,
            image=tone(
                batch.image,
                gamma=stage.gamma,
                brightness=stage.brightness,
                colour=stage.colour,
                probability=stage.colour_probability,
                generator=generator,
            ),
        )
    return batch


def augment_step(batch: Batch, stage: StageConfig, generator: torch.Generator, *, seed: int, step: int) -> Batch:
    """Augment the batch of a step of training: a function of (seed, stage, step) alone."""
    generator.manual_seed(seed_of(seed, stage.name, "augment", step))
    return augment(batch, stage, generator)
