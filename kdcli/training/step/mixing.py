"""What a mixer is given outside a training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kdcli.errors import PluginError
from kdcli.plugins import registry
from kdcli.plugins.blame import blame
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

    @property
    def batch_number(self) -> int:
        """Outside training every batch is a step of its own."""
        return self.step

    def note(self, name: str, value: Tensor) -> None:
        """Keep what a mixer chose; training keeps single numbers only."""
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
        with blame(mixer, "mix"):
            batch = mixed_by(mixer, batch, context)
    return batch


def mixed_by(mixer: Mixer, batch: Batch, context: MixContext) -> Batch:
    """Return what one mixer made of a batch, seen to be what the contract says."""
    mixed = mixer.mix(batch, context)
    if not isinstance(mixed, Batch):
        raise TypeError(f"it gave {type(mixed).__name__}, not a Batch")
    return mixed
