"""What a mixer is given outside a training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kdcli.errors import PluginError
from kdcli.plugins import registry
from kdcli.protocols import MixContext, Mixer
from kdcli.training.seeds import seed_of, seeded
from kdcli.types import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class MixStep:
    """Counters and random numbers of one batch; see ``kdcli.protocols.MixContext``."""

    step: int
    stage: str
    progress: float
    generator: torch.Generator
    epoch: int = 0
    notes: list[tuple[str, Tensor]] = field(default_factory=list)
    """What mixers told of their choices, in order: names and tensors on the batch's device."""

    def note(self, name: str, value: Tensor) -> None:
        """Keep what a mixer chose. Optional in a context: training keeps nothing."""
        self.notes.append((name, value))


def build_mixers(specs: Sequence[str], seed: int) -> list[Mixer]:
    """Make the mixers of some specs, in order; weights that one begins with depend on the seed alone.

    Raises:
        PluginError: one of them is no mixer.
    """
    mixers: list[Mixer] = []
    for spec in specs:
        with seeded(seed_of(seed, "mixer", len(mixers))):
            mixer = registry.build("mixer", spec)
        if not isinstance(mixer, Mixer):
            raise PluginError(f"mixer '{spec}' has no mix(batch, ctx); report it to its author")
        mixers.append(mixer)
    return mixers


def mix_step(batch: Batch, *, seed: int, stage: str, step: int, total: int) -> MixStep:
    """Return the context of one batch; random numbers depend on (seed, stage, step) alone."""
    generator = torch.Generator(device=batch.image.device).manual_seed(seed_of(seed, stage, step))
    return MixStep(step=step, stage=stage, progress=step / max(total, 1), generator=generator)


def apply(batch: Batch, mixers: Sequence[Mixer], context: MixContext) -> Batch:
    """Return the batch after all mixers, in order."""
    for mixer in mixers:
        batch = mixer.mix(batch, context)
    return batch
