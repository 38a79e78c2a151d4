"""A glance at a model's speed says where the machine was busy with something else."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from kdcli.evals.speed import Speed, speed_of
from kdcli.report.numbers import _caption
from kdcli.types import DepthKind, Prediction


class Takes(nn.Module):
    """Works for some milliseconds, or waits as long for a processor."""

    def __init__(self, *, waits: bool) -> None:
        super().__init__()
        self.layer, self.waits = nn.Conv2d(3, 1, 1), waits

    def forward(self, image: Tensor) -> Prediction:
        if self.waits:
            time.sleep(0.01)
        else:
            end = time.process_time() + 0.002
            while time.process_time() < end:
                pass
        return Prediction(depth=self.layer(image), kind=DepthKind.METRIC)


def test_a_model_that_had_to_wait_is_said_to_be_disturbed() -> None:
    found = speed_of(Takes(waits=True), (8, 8), torch.device("cpu"))
    assert found.seconds is not None and found.seconds > 0.009 and found.bytes == 16
    assert found.disturbed
    assert "while other work took the processor" in _caption([_Counted()], {"a": found})  # type: ignore[list-item]


def test_one_that_had_the_processor_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = time.process_time
    monkeypatch.setattr("kdcli.evals.speed.time.perf_counter", clock)  # a machine that does nothing else
    found = speed_of(Takes(waits=False), (8, 8), torch.device("cpu"))
    assert found.seconds is not None and found.seconds >= 0.002 and not found.disturbed
    assert "other work" not in _caption([_Counted()], {"a": found, "b": Speed()})  # type: ignore[list-item]


class _Counted:
    """What a caption reads of a result."""

    n = 4

    class cost:
        size = (8, 8)
