from __future__ import annotations

import gc

import pytest

from kdcli.benching.clock import Stopped, Timed, in_turn
from kdcli.benching.spread import Spread


class Calls:
    """Notes who is called, and is interrupted at a call if asked to."""

    def __init__(self, stop: int | None = None) -> None:
        self.seen: list[str] = []
        self.stop = stop

    def timed(self, name: str, *, waits: bool = False) -> Timed:
        def run() -> None:
            if len(self.seen) == self.stop:
                raise KeyboardInterrupt
            self.seen.append(name)

        return Timed(run=run, wait=(lambda: self.seen.append(f"{name} waits")) if waits else None)


def test_all_are_measured_in_turn_after_a_call_that_does_not_count() -> None:
    calls, rounds = Calls(), []
    found = in_turn([calls.timed("a"), calls.timed("b")], rounds=2, warmup=1, each=lambda: rounds.append(1))
    assert calls.seen == ["a", "a", "b", "b"] * 3
    assert len(rounds) == 3
    assert [len(one.wall) for one in found] == [len(one.processor) for one in found] == [2, 2]
    assert all(time >= 0 for one in found for time in one.wall + one.processor)


def test_a_device_is_waited_for_and_has_no_processor_time() -> None:
    calls = Calls()
    (found,) = in_turn([calls.timed("a", waits=True)], rounds=1, warmup=0)
    assert calls.seen == ["a", "a waits"] * 2
    assert (len(found.wall), found.processor) == (1, [])


def test_an_interruption_keeps_the_rounds_that_all_have() -> None:
    calls = Calls(stop=2 * 4 + 2)  # two rounds of two turns of two calls, and the first turn of a third
    with pytest.raises(Stopped) as stopped:
        in_turn([calls.timed("a"), calls.timed("b")], rounds=5, warmup=0)
    assert [len(one.wall) for one in stopped.value.times] == [2, 2]
    assert [len(one.processor) for one in stopped.value.times] == [2, 2]
    assert gc.isenabled()


def test_an_interruption_of_the_first_round_has_nothing_to_keep() -> None:
    with pytest.raises(KeyboardInterrupt) as stopped:
        in_turn([Calls(stop=3).timed("a")], rounds=5, warmup=2)
    assert not isinstance(stopped.value, Stopped)


def test_the_spread_is_that_of_rounds() -> None:
    assert Spread.of([3.0]) == Spread(median=3.0, low=3.0, high=3.0)
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(median=3.0, low=2.0, high=4.0)


def test_ratios_are_taken_round_by_round() -> None:
    # The machine is ten times as slow in the second round, for both; ratios do not see it.
    found = Spread.of_ratios([2.0, 20.0, 2.2], [1.0, 10.0, 1.0])
    assert found is not None
    assert (found.median, found.low, found.high) == pytest.approx((2.0, 2.0, 2.1))
    assert Spread.of_ratios([1.0], [0.0]) is None
