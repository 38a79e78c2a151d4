"""Reading ahead: order, how many samples wait at one time, and whose fault an error is."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from evals_doubles import Answers

from kdcli.evals import ahead as reading
from kdcli.evals.ahead import ahead
from kdcli.evals.runner import evaluate
from kdcli.types import DepthKind, Sample


class Counted:
    """A source that knows how many of its samples are still in use."""

    name, depth_kind = "counted", DepthKind.METRIC

    def __init__(self, count: int) -> None:
        self.count, self.most, self.reads = count, 0, 0
        self.alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        image = torch.rand(3, 8, 12)
        self.alive.add(image)
        self.reads += 1
        self.most = max(self.most, len(self.alive))
        return Sample(id=str(index), image=image, depth=image[:1] + 1, valid=torch.ones(1, 8, 12, dtype=torch.bool))


@pytest.mark.parametrize("batch_size", [1, 8])
def test_many_images_hold_no_more_at_one_time_than_few(batch_size: int) -> None:
    most = {}
    for count in (60, 600):
        source = Counted(count)
        evaluate({"m": Answers(lambda image: image[:, :1] + 1.1)}, source, batch_size=batch_size)
        most[count] = source.most
        del source
        gc.collect()
    bound = 2 * batch_size + 3 * reading._AT_ONCE
    assert most[60] <= bound and most[600] <= bound


@pytest.mark.parametrize(("count", "depth"), [(0, 1), (1, 1), (5, 1), (23, 3), (40, 16)])
def test_samples_come_in_order_and_each_once(count: int, depth: int) -> None:
    source = Counted(count)
    order = list(range(count))[::-1]
    assert [(index, sample.id) for index, sample in ahead(source, order, depth)] == [(i, str(i)) for i in order]
    assert source.reads == count


def test_large_pictures_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BYTES", 100)
    source = Counted(50)
    coming = ahead(source, range(50), 1)
    for _ in range(10):
        next(coming)
    coming.close()  # type: ignore[attr-defined]
    assert source.reads <= 13


def test_what_was_read_before_an_error_comes_first() -> None:
    class Broken(Counted):
        def __getitem__(self, index: int) -> Sample:
            if index == 7:
                raise ValueError("seven")
            return super().__getitem__(index)

    seen = []
    with pytest.raises(ValueError, match="seven"):
        for index, _ in ahead(Broken(20), range(20), 2):
            seen.append(index)
    assert seen == list(range(7))
