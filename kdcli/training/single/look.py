"""What a recipe's augmentation makes of a source, to be looked at before it is trained on."""

from __future__ import annotations

import torch

from kdcli.config import RunConfig
from kdcli.training.batches.augment import augment_step
from kdcli.training.run.workshop import Workshop
from kdcli.types import Batch, Sample


def augmented(config: RunConfig, count: int, *, device: torch.device | str = "cpu") -> list[Sample]:
    """Return the first images that the main stage trains on, as they are before its mixers, on the CPU.

    They are those of a run of this configuration to the bit: same order, same random numbers.

    Raises:
        KdcliError: the source cannot be used.
    """
    shop, stage = Workshop(config=config, device=torch.device(device)), config.main
    generator = torch.Generator(device=device)
    samples: list[Sample] = []
    for step, batch in enumerate(shop.feed(stage).batches(0, -(-count // stage.batch_size))):
        samples += _samples(augment_step(batch, stage, generator, seed=config.seed, step=step))
    return samples[:count]


def _samples(batch: Batch) -> list[Sample]:
    batch = batch.to("cpu", non_blocking=False)
    samples = []
    for i, name in enumerate(batch.ids):
        parts = {part: getattr(batch, part) for part in ("depth", "valid", "instances", "intrinsics")}
        own = {part: None if value is None else value[i] for part, value in parts.items()}
        if batch.labelled is not None and not batch.labelled[i]:
            own["depth"] = own["valid"] = None
        samples.append(Sample(id=name, image=batch.image[i], **own))
    return samples
