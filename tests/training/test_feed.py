from __future__ import annotations

import pytest
import torch

from kdcli.errors import DataError
from kdcli.sources.sim import SimSource
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.joining import as_batch, collate, resize_batch
from kdcli.training.batches.render_cache import RenderCache
from kdcli.types import Batch, Sample

CPU = torch.device("cpu")


class Photos:
    """A file-like source: items one by one, of two sizes, the odd ones without depth."""

    name = "photos"
    depth_kind = None

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        height = 40 + 8 * (index % 2)
        image = torch.full((3, height, 60), index / 100)
        depth = None if index % 2 else torch.full((1, height, 60), float(index + 1))
        return Sample(id=f"photo/{index}", image=image, depth=depth, valid=None if depth is None else depth > 0)

    def check(self) -> list[object]:
        return []


def feed(source: object, **options: object) -> Feed:
    return Feed(source, batch_size=4, size=(32, 48), seed=5, device=CPU, **options)  # type: ignore[arg-type]


def test_a_step_sees_the_same_images_wherever_the_run_begins() -> None:
    made = feed(Photos(10))
    whole = [batch.ids for batch in made.batches(0, 7)]
    assert [batch.ids for batch in feed(Photos(10)).batches(3, 7)] == whole[3:]
    assert [batch.ids for batch in feed(Photos(10), workers=2).batches(0, 7)] == whole


def test_an_epoch_shows_no_image_twice() -> None:
    made = feed(Photos(12))
    first = [i for step in range(3) for i in made.indices(step)]
    second = [i for step in range(3, 6) for i in made.indices(step)]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_fewer_images_than_a_batch_are_repeated() -> None:
    assert sorted(feed(Photos(3)).indices(0))[:3] == [0, 0, 1] or len(feed(Photos(3)).indices(0)) == 4


def test_an_endless_source_never_repeats() -> None:
    made = feed(SimSource("blocks"))
    assert made.indices(0) == [0, 1, 2, 3]
    assert made.indices(9) == [36, 37, 38, 39]


def test_no_images_is_an_error() -> None:
    with pytest.raises(DataError, match="no images"):
        feed(Photos(0))


def test_the_cache_changes_nothing() -> None:
    source, cache = SimSource("blocks", count=8), RenderCache()
    fresh = list(feed(source, cache=cache).batches(0, 2))
    kept = list(feed(source, cache=cache).batches(0, 2))
    full = list(feed(source, cache=RenderCache(limit=0)).batches(0, 2))
    for one, two, three in zip(fresh, kept, full, strict=True):
        assert one.ids == two.ids == three.ids
        for name in ("image", "depth", "instances", "intrinsics", "valid"):
            assert torch.equal(getattr(one, name), getattr(two, name)), name
            assert torch.equal(getattr(one, name), getattr(three, name)), name


def test_images_without_depth_are_marked() -> None:
    batch = collate([resize_batch(as_batch(Photos(4)[i]), (32, 48)) for i in range(4)])
    assert batch.labelled is not None and batch.labelled.tolist() == [True, False, True, False]
    assert batch.valid is not None and batch.valid.flatten(1).any(1).tolist() == [True, False, True, False]
    assert batch.image.shape == (4, 3, 32, 48)
    assert batch.depth is not None and batch.depth[2].unique().tolist() == [3.0]


def test_an_epoch_leaves_out_what_fills_no_batch() -> None:
    made = feed(Photos(10))
    assert made.steps_per_epoch == 2
    for epoch in range(3):
        seen = [i for step in (2 * epoch, 2 * epoch + 1) for i in made.indices(step)]
        assert len(set(seen)) == 8


@pytest.mark.parametrize("size", [(15, 20), (80, 120), (33, 47)])
def test_resizing_keeps_ids_and_where_they_are(size: tuple[int, int]) -> None:
    ids = torch.zeros(1, 40, 60, dtype=torch.int64)
    ids[:, 8:24, 12:36] = 2**40 + 1  # beyond what a 32-bit float or integer tells from its neighbours
    ids[:, 24:, 36:] = 3
    batch = resize_batch(Batch(ids=("a",), image=torch.rand(1, 3, 40, 60), instances=ids), size)
    found = batch.instances
    assert found is not None and found.shape == (1, *size) and found.dtype == torch.int64
    assert found.unique().tolist() == [0, 3, 2**40 + 1]
    for number in (3, 2**40 + 1):
        share, wanted = (found == number).double().mean(), (ids == number).double().mean()
        assert share.item() == pytest.approx(wanted.item(), abs=0.02)
    assert found[0, size[0] * 2 // 5 - 1, size[1] * 2 // 5].item() == 2**40 + 1 and found[0, -1, -1].item() == 3
