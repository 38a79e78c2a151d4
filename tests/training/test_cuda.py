"""What only a GPU can show; ``test_device``, ``test_no_waiting`` and ``test_precision`` hold the rest without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from kdcli.config import RunConfig, StageConfig
from kdcli.testing.toys import toy_batch
from kdcli.training.batches.ahead import copier
from kdcli.training.batches.augment import augment
from kdcli.training.loop.optim import optimizer_of
from kdcli.training.loop.precision import loss_scaler, update
from kdcli.training.run.workshop import Workshop

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CUDA = torch.device("cuda")


@pytest.fixture
def refusing() -> Iterator[None]:
    """Let PyTorch refuse whatever makes the host wait for the GPU, from the second step on."""
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("amp", ["auto", "off"])
def test_no_step_makes_the_host_wait(amp: str, refusing: None) -> None:
    stage = StageConfig(
        name="s", steps=4, batch_size=4, size=(64, 96), data="sim:blocks,count=16", mixers=("object",), jitter=0.1,
        losses=(("log-l1", 1.0), ("gradient", 0.5)), amp=amp,  # type: ignore[arg-type]
    )
    shop = Workshop(config=RunConfig(recipe="x", student="mobilenet,width=0.35", stages=(stage,)), device=CUDA)
    task = shop.task(stage, shop.student()[0], None).train()
    parameters = list(task.trained_parameters())
    optimizer, scaler = optimizer_of(stage, parameters), loss_scaler(task.amp, CUDA)
    batches = list(shop.feed(stage).batches(0, 4))
    generator = torch.Generator(device=CUDA).manual_seed(0)
    for number, batch in enumerate(batches):
        if number == 1:
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("error")
        optimizer.zero_grad(set_to_none=True)
        task(augment(batch, stage, generator), number, 4).loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        update(optimizer, scaler)
    torch.cuda.set_sync_debug_mode("default")
    assert all(bool(torch.isfinite(parameter).all()) for parameter in parameters)


def test_what_is_copied_beside_is_there_when_it_is_computed_with() -> None:
    copied = copier(CUDA)
    for seed in range(20):
        host = toy_batch(batch=8, size=(256, 320), seed=seed).map_tensors(torch.Tensor.pin_memory)
        _ = torch.rand(2000, 2000, device=CUDA).square().sum()
        there = copied(host)
        assert torch.equal((there.image * 2).cpu(), host.image * 2)
