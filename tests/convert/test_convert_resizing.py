from __future__ import annotations

import pytest
import torch

from kdcli.convert.resizing import nearest, resized
from kdcli.training.batches.joining import as_batch, resize_batch
from kdcli.types import Sample


def sample(height: int, width: int, depth: tuple[int, int] | None = None) -> Sample:
    draws = torch.Generator().manual_seed(height * width)
    size = depth or (height, width)
    grid = torch.rand(1, *size, generator=draws) * 9 + 1
    valid = torch.rand(1, *size, generator=draws) > 0.3
    return Sample(
        id="a", image=torch.rand(3, height, width, generator=draws), depth=grid * valid, valid=valid,
        instances=torch.randint(0, 9, (height, width), generator=draws),
        intrinsics=torch.tensor([50.0, 51.0, (width - 1) / 2, (height - 1) / 2]),
    )


@pytest.mark.parametrize("size", [(24, 32), (31, 47), (96, 128), (48, 64)])
def test_it_is_what_training_makes_of_it(size: tuple[int, int]) -> None:
    item = sample(48, 64)
    ours, theirs = resized(item, size), resize_batch(as_batch(item), size)
    assert torch.equal(ours.image, theirs.image[0])
    for name in ("depth", "valid", "instances"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)[0]), name


def test_depth_is_never_mixed_and_holes_stay_holes() -> None:
    item = sample(48, 64)
    made = resized(item, (17, 23))
    assert made.depth is not None and made.valid is not None and item.depth is not None
    assert bool(torch.isin(made.depth, item.depth).all())
    assert torch.equal(made.depth > 0, made.valid)


def test_small_depth_comes_to_the_size_from_its_own_pixels() -> None:
    made = resized(sample(96, 128, (24, 32)), (24, 32))
    assert torch.equal(made.depth, sample(96, 128, (24, 32)).depth)


def test_the_middle_of_an_image_stays_its_middle() -> None:
    made = resized(sample(48, 64), (24, 48))
    assert made.intrinsics is not None
    assert torch.allclose(made.intrinsics, torch.tensor([37.5, 25.5, 23.5, 11.5]))


def test_ids_beyond_float_precision_are_kept() -> None:
    ids = torch.tensor([[2**40 + 1, 5], [7, 2**40 + 3]])
    assert torch.equal(nearest(ids, (4, 4)), ids.repeat_interleave(2, 0).repeat_interleave(2, 1))
