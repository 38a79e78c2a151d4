"""What a stage on CUDA does otherwise, as far as a CPU can show it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from kdcli.config import RunConfig, StageConfig
from kdcli.testing.toys import toy_batch
from kdcli.training.batches.ahead import copier
from kdcli.training.loop.optim import optimizer_of
from kdcli.training.loop.precision import loss_scaler, tf32, update
from kdcli.training.loop.train import StepLog
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.progress import Silent
from kdcli.weights import load_state

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_an_update_on_cuda_is_one_kernel(optimizer: str) -> None:
    stage = StageConfig(name="s", steps=1, optimizer=optimizer)  # type: ignore[arg-type]
    with FakeTensorMode():
        there = [nn.Parameter(torch.empty(2, 2, device=CUDA)), nn.Parameter(torch.empty(2, device=CUDA))]
        made = optimizer_of(stage, there)
        assert len(made.param_groups) == 2 and all(group["fused"] for group in made.param_groups)
    here = optimizer_of(stage, [nn.Parameter(torch.empty(2, 2))])
    assert not here.param_groups[0]["fused"]
    assert optimizer_of(stage, []).param_groups[0]["params"] == []


@pytest.mark.parametrize(("how", "said"), [("on", "tf32"), ("off", "ieee")])
def test_tf32_is_switched_for_a_stage_and_back(how: Any, said: str) -> None:
    places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    with pytest.raises(KeyError), tf32(how, CUDA):
        assert [place.fp32_precision for place in places] == [said, said]
        raise KeyError
    for device, other in ((CPU, how), (CUDA, "auto")):
        with tf32(other, device):
            assert [place.fp32_precision for place in places] == before
    assert [place.fp32_precision for place in places] == before


def test_gradients_that_are_not_finite_move_nothing_and_shrink_the_factor() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    scaler = loss_scaler(torch.float16, CPU)
    update(optimizer, scaler)  # no gradient at all
    scaler.scale((weight * torch.tensor([1.0, float("inf")])).sum()).backward()
    first = scaler.get_scale()
    scaler.unscale_(optimizer)
    update(optimizer, scaler)
    assert torch.equal(weight.detach(), torch.ones(2)) and scaler.get_scale() == first / 2
    optimizer.zero_grad()
    scaler.scale(weight.sum()).backward()
    scaler.unscale_(optimizer)
    assert torch.equal(weight.grad, torch.ones(2))  # type: ignore[arg-type]
    update(optimizer, scaler)
    assert torch.equal(weight.detach(), torch.full((2,), 0.5))
    assert not loss_scaler(torch.bfloat16, CPU).is_enabled() and not loss_scaler(None, CPU).is_enabled()


class StopAt(Silent):
    """Asks the run to stop once a step is logged, and keeps what it is told of."""

    def __init__(self, step: int = 0) -> None:
        self.stop_at, self.logs = step, list[StepLog]()

    def step(self, log: StepLog) -> None:
        self.logs.append(log)
        if log.step == self.stop_at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("amp", ["fp16"])
def test_a_run_in_fewer_bits_learns_and_goes_on_to_the_last_bit(
    tiny: Callable[..., RunConfig], tmp_path: Path, amp: str
) -> None:
    config, told = tiny(f"amp={amp}", "eval_data=none", steps=4), StopAt()
    distill(config, out=tmp_path / "whole", progress=told)
    assert all(log.loss < 100 for log in told.logs)
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=tmp_path / "split", progress=StopAt(2))
    state = torch.load(RunFolder(tmp_path / "split").state, weights_only=True)
    assert ("scaler" in state) == (amp == "fp16")
    distill(resumable(tmp_path / "split"), resume=tmp_path / "split")
    one, two = (load_state(tmp_path / name / "student.safetensors") for name in ("whole", "split"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_batch_is_copied_on_a_stream_of_its_own_that_computing_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Stream:
        def __init__(self, device: object) -> None:
            pass

        def wait_stream(self, other: Stream) -> None:
            order.append("waits" if other is not self else "waits for itself")

    @contextmanager
    def on(stream: Stream) -> Any:
        order.append("aside")
        yield
        order.append("back")

    here = Stream(None)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: here)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: order.append("marked"))
    batch = toy_batch()
    with FakeTensorMode(allow_non_fake_inputs=True):
        moved = copier(CUDA)(batch)
    assert moved.image.device.type == "cuda" and moved.ids == batch.ids
    assert order[:3] == ["aside", "back", "waits"] and set(order[3:]) == {"marked"} and len(order) > 4
    assert copier(CPU)(batch).image is batch.image
