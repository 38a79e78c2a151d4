"""What is said when a loss is no number: the step, the terms and the images."""

from __future__ import annotations

import pytest
import torch

from kdcli.config import StageConfig
from kdcli.errors import TrainingError
from kdcli.training.loop.train import Watch
from kdcli.training.step.task import StepResult

NAN = float("nan")


def result(**terms: float) -> StepResult:
    values = {name: torch.tensor(value) for name, value in terms.items()}
    return StepResult(loss=sum(values.values(), torch.tensor(0.0)), terms=values, notes={}, sound=torch.tensor([True]))


def test_terms_that_are_no_numbers_are_named() -> None:
    watch = Watch(StageConfig(name="main", steps=2))
    watch.see(("a",), result(mine=1.0, yours=2.0))
    watch.check(1)
    watch.see(("b",), result(mine=1.0, yours=NAN))
    with pytest.raises(TrainingError, match=r"^the loss of stage 'main' is not a number at step 2 in yours; images: b"):
        watch.check(2)


def test_images_that_are_no_numbers_are_named_where_all_terms_are_some() -> None:
    watch = Watch(StageConfig(name="main", steps=2))
    one = torch.tensor(1.0)
    watch.see(("a", "b"), StepResult(loss=one, terms={"mine": one}, notes={}, sound=torch.tensor([True, False])))
    with pytest.raises(TrainingError, match=r"is not a number at step 1; images: b; "):
        watch.check(1)
