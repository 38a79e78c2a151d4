"""How far student and teacher are apart on each image: by hand, free of what a kind leaves open, where it counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from kdcli.config import RunConfig
from kdcli.errors import ConfigError
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.distance import apart
from kdcli.types import DepthKind

CPU = torch.device("cpu")
ALL = torch.ones(2, 1, 2, 2, dtype=torch.bool)
TEACHER = torch.tensor([[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 4.0, 8.0]]).view(2, 1, 2, 2)
STUDENT = torch.tensor([[1.0, 2.0, 3.0, 8.0], [4.0, 4.0, 8.0, 16.0]]).view(2, 1, 2, 2)


def test_metric_depth_is_apart_by_logarithms() -> None:
    found = apart(STUDENT, TEACHER, ALL, DepthKind.METRIC)
    assert found.tolist() == pytest.approx([math.log(2) / 4, math.log(2)])


def test_what_a_kind_leaves_open_does_not_count() -> None:
    free = apart(STUDENT, TEACHER, ALL, DepthKind.SCALE_INVARIANT)
    assert free.tolist() == pytest.approx([math.log(2) * (3 / 4 / 4 + 3 / 4 / 4), 0], abs=1e-6)
    assert torch.allclose(apart(5 * STUDENT, TEACHER, ALL, DepthKind.SCALE_INVARIANT), free, atol=1e-6)
    for kind in (DepthKind.AFFINE_DEPTH, DepthKind.AFFINE_DISPARITY):
        one = apart(STUDENT, TEACHER, ALL, kind)
        assert one[0] > 0.1 and torch.allclose(apart(3 * STUDENT - 7, 0.5 * TEACHER + 2, ALL, kind), one, atol=1e-5)
        assert apart(3 * TEACHER - 7, TEACHER, ALL, kind).tolist() == pytest.approx([0, 0], abs=1e-5)


@pytest.mark.parametrize("kind", list(DepthKind))
def test_holes_and_broken_numbers_do_not_count(kind: DepthKind) -> None:
    valid, student, teacher = ALL.clone(), STUDENT.clone(), TEACHER.clone()
    valid[0, 0, 1, 1] = False
    expected = apart(STUDENT[:1, :, :, :1], TEACHER[:1, :, :, :1], ALL[:1, :, :, :1], kind)
    student[0, 0, 0, 1], teacher[0, 0, 1, 1] = torch.nan, torch.inf
    valid[1] = False
    found = apart(student, teacher, valid, kind)
    assert torch.allclose(found[:1], expected) and bool(found[1].isnan())


@pytest.mark.parametrize("kind", list(DepthKind))
def test_maps_without_any_spread_are_some_distance_apart(kind: DepthKind) -> None:
    found = apart(torch.full_like(STUDENT, 2.0), TEACHER, ALL, kind)
    assert bool(torch.isfinite(found).all()) and bool((found > 0.1).all())


def test_a_step_tells_distances_only_where_it_is_asked(tiny: Callable[..., RunConfig]) -> None:
    shop = Workshop(config=tiny("task_loss=l1"), device=CPU)
    student, _ = shop.student()
    task = shop.task(shop.config.main, student, None)
    batch = next(shop.feed(shop.config.main).batches(0, 1))
    task.build(batch)
    assert batch.depth is not None
    assert task(batch, 0, 1).distance is None
    found = task(batch, 0, 1, distances=True).distance
    assert found is not None and found.shape == (4,) and not found.requires_grad and bool((found > 0).all())
    task.losses = ()  # then nobody asks a teacher, and the data's own depth is all that there is
    far = task(replace(batch, depth=50 * batch.depth), 0, 1, distances=True).distance
    assert far is not None and bool((far > found + 1).all())
    none = task(replace(batch, labelled=torch.zeros(4, dtype=torch.bool)), 0, 1, distances=True).distance
    assert none is not None and bool(none.isnan().all())
    task.task_loss = None
    with pytest.raises(ConfigError, match=r"^sampling=hard of stage 'train' .*; use sampling=even$"):
        task(batch, 0, 1, distances=True)
