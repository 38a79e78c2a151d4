"""A step with mixing, transformation, teacher and student asks the device for nothing, its backward pass included."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kdcli.config import RunConfig, StageConfig
from kdcli.testing.guards import no_waiting
from kdcli.training.batches.augment import augment
from kdcli.training.run.workshop import Workshop
from kdcli.transform import TransformNetwork, save
from kdcli.types import Batch

MIXERS = (
    "object", "object,placement=each,min_scale=0.2,max_scale=2,flip=0.5", "object,partner=random,feather=0.1",
    "object,placement=each,occlusion=true,min_scale=0.5", "cutmix", "mixup",
)
ON_A_CPU = ("_slots", "_turned_here")
"""The object mixer looks at two numbers where they lie on a CPU, and mirroring at which images are chosen;
``test_device`` runs what both do elsewhere."""


def wired(transform: str, mixers: tuple[str, ...], share: float) -> tuple[Workshop, StageConfig]:
    stage = StageConfig(
        name="s", steps=2, batch_size=4, size=(64, 96), data="sim:blocks,count=8", transform=transform, mixers=mixers,
        transform_share=share, jitter=0.1, losses=(("log-l1", 1.0), ("gradient", 0.5)), statistics_layers=("every:2",),
    )
    return Workshop(
        config=RunConfig(recipe="x", student="mobilenet,width=0.35", stages=(stage,)), device=torch.device("cpu")
    ), stage


@pytest.mark.parametrize(
    ("transform", "mixer", "share"),
    [*(("file", mixer, 1.0) for mixer in MIXERS), ("file", "object", 0.5), ("joint", "object", 1.0),
     ("joint", "object", 0.5)],
)
def test_mixing_and_transformation_never_wait(tmp_path: Path, transform: str, mixer: str, share: float) -> None:
    if transform == "file":
        transform = str(tmp_path / "t.safetensors")
        save(TransformNetwork(form="both", width=8), Path(transform), {})
    shop, stage = wired(transform, (mixer,), share)
    student, _ = shop.student()
    task = shop.task(stage, student, None).train()
    feed = shop.feed(stage)
    batches: list[Batch] = [next(feed.batches(i, i + 1)) for i in range(2)]
    generator = torch.Generator().manual_seed(0)
    for step, batch in enumerate(batches):
        with no_waiting(allow=ON_A_CPU):
            result = task(augment(batch, stage, generator), step, 2, told=True, distances=True)
            result.loss.backward()
            torch.nn.utils.clip_grad_norm_(list(task.trained_parameters()), 1.0)
    assert bool(torch.isfinite(result.loss)) and bool(result.sound.all())
    assert result.distance is not None and bool(torch.isfinite(result.distance).all())
