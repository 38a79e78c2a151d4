"""The order of images when far ones come more often: known ahead, gone on with, read from the device once a round."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from kdcli.training.batches.distances import Distances
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.hard_order import LEAD, HardOrder
from kdcli.training.batches.kept_images import KeptImages
from kdcli.training.batches.order import EvenOrder, FixedOrder
from kdcli.types import Sample

CPU = torch.device("cpu")


class Photos:
    """A file-like source of images that are one colour each."""

    name = "photos"
    depth_kind = None

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        return Sample(id=f"photo/{index}", image=torch.full((3, 32, 48), index / 1000))

    def check(self) -> list[object]:
        return []


def distance(indices: list[int], step: int) -> Tensor:
    """Later images are farther; all come nearer with time."""
    return torch.tensor([(1 + index / 10) / (1 + step) for index in indices])


def run(order: HardOrder, start: int, stop: int) -> list[list[int]]:
    """Show batches as a loop does and return their images."""
    shown = []
    for step in range(start, stop):
        shown.append(order.indices(step))
        order.see(step, distance(shown[-1], step))
    return shown


@pytest.mark.parametrize(("images", "batch"), [(40, 4), (300, 4), (3, 8), (30, 4)])
def test_a_run_that_goes_on_sees_the_same_images(images: int, batch: int) -> None:
    whole = HardOrder(images, batch, 7)
    batches = whole.batches
    shown = run(whole, 0, 6 * batches)
    for stop in (1, batches // 2, batches, 3 * batches - 1, 3 * batches + max(batches - LEAD, 0)):
        first = HardOrder(images, batch, 7)
        begun = run(first, 0, stop)
        content = io.BytesIO()
        torch.save(first.state(), content)
        content.seek(0)
        second = HardOrder(images, batch, 7)
        second.load(torch.load(content, weights_only=True))
        assert second.notes() == first.notes()
        assert begun + run(second, stop, 6 * batches) == shown, stop
    other = HardOrder(images + 1, batch, 7)
    with pytest.raises(ValueError, match=f"of {images} images, not of {images + 1}"):
        other.load(whole.state())
    with pytest.raises(ValueError, match="no distances"):
        other.load(None)


@pytest.mark.parametrize("kept", [None, 0, 2**30])
@pytest.mark.parametrize(("images", "workers"), [(12, 0), (12, 64), (140, 0), (140, 2)])
def test_images_do_not_depend_on_who_reads_ahead(images: int, workers: int, kept: int | None) -> None:
    expected = run(HardOrder(images, 4, 7), 0, 90)
    order = HardOrder(images, 4, 7)
    feed = Feed(
        Photos(images), batch_size=4, size=(32, 48), seed=7, device=CPU, workers=workers, order=order,
        kept=None if kept is None else KeptImages(kept),
    )
    for step, batch in enumerate(feed.batches(0, 90)):
        assert [int(name.partition("/")[2]) for name in batch.ids] == expected[step]
        order.see(step, distance(expected[step], step))


def test_no_process_is_given_what_is_not_known_yet() -> None:
    assert HardOrder(3, 4, 0).most_workers == 0 and HardOrder(40, 4, 0).most_workers == 5
    assert HardOrder(4000, 4, 0).most_workers == LEAD // 2
    order = HardOrder(4000, 4, 0)
    for step in range(order.batches - LEAD):
        order.see(step, torch.ones(4))
    assert len(order.indices(order.batches)) == 4


def test_far_images_come_more_often_and_all_come() -> None:
    order = HardOrder(100, 4, 3)
    shown = torch.tensor(run(order, 0, 30 * 25)).flatten().bincount(minlength=100)
    table = order.distances
    table.read()
    assert torch.equal(table.shown, shown) and int(shown.min()) >= 10
    assert 1.5 < float(shown[-20:].sum() / shown[:20].sum()) < 4
    assert 0.5 < order.notes()["sampling.far"] < 0.8 and order.notes()["sampling.most"] in (2, 3)
    early = HardOrder(100, 4, 3)
    run(early, 0, 10)
    assert early.notes() == {"sampling.most": 1.0}


def test_distances_of_different_times_compare() -> None:
    table = Distances(4)
    table.add([0, 1], torch.tensor([4.0, 2.0]))
    for _ in range(60):  # all come nearer: what is last seen early is not far for that
        table.add([2, 3], torch.tensor([0.4, 0.2]))
    table.read()
    assert table.last.tolist() == pytest.approx([4, 2, 0.4, 0.2])
    assert table.relative.tolist() == pytest.approx([4 / 3, 2 / 3, 4 / 3, 2 / 3], rel=0.05)


def test_what_is_no_number_changes_nothing_but_the_count() -> None:
    table = Distances(3)
    table.add([0, 1], torch.tensor([1.0, torch.nan]))
    table.add([0, 0], torch.tensor([torch.inf, torch.nan]))
    table.read()
    assert table.last.tolist()[0] == 1 and bool(table.last[1:].isnan().all())
    assert table.shown.tolist() == [3, 1, 0]


def test_the_device_is_asked_when_a_round_is_drawn_and_not_before() -> None:
    order = HardOrder(400, 4, 3)
    unread = torch.ones(4, device="meta")  # cannot be brought to the host
    for step in range(order.batches - LEAD - 1):
        order.see(step, unread)
    with pytest.raises(NotImplementedError):
        order.see(order.batches - LEAD - 1, unread)


def test_a_record_gives_all_batches_again() -> None:
    order = HardOrder(30, 4, 3, record=True)
    shown = run(order, 0, 50)
    assert order.recorded(50).view(-1, 4).tolist() == shown


def test_batches_are_asked_for_as_they_come() -> None:
    class Counted(FixedOrder):
        asked = 0

        def indices(self, step: int) -> list[int]:
            self.asked += 1
            return [step % 12] * 4

    order = Counted()
    found: Iterator[object] = Feed(
        Photos(12), batch_size=4, size=(32, 48), seed=7, device=CPU, order=order
    ).batches(0, 10**8)
    for _ in range(3):
        next(found)
    assert order.asked == 3


def test_the_even_order_is_what_it_was() -> None:
    order = EvenOrder(10, 4, 5)
    assert [order.indices(step) for step in range(3)] == [[1, 9, 3, 8], [0, 4, 2, 7], [0, 5, 7, 8]]
    assert order.state() is None and order.notes() == {} and order.most_workers is None
