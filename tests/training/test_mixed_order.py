"""A mix of two sources in training: shares of batches, what is held out, what is kept of rendered images."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from kdcli.config import RunConfig, load
from kdcli.errors import ConfigError
from kdcli.sources import load_source
from kdcli.sources.subset import subset
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.order import EvenOrder, MixedOrder, order_of
from kdcli.training.batches.render_cache import RenderCache
from kdcli.training.run.holdout import identity
from kdcli.training.run.workshop import Workshop

CPU = torch.device("cpu")
BLOCKS, NOISE = "sim:blocks,count=40,size=24x32", "sim:noise,count=10,size=24x32"
RECIPE = """
[run]
student = "mobilenet,width=0.35"
eval_data = "none"
export = "none"
[defaults]
teachers = ["demo"]
data = "both:[sim:blocks,count=12|sim:noise,count=8]"
size = "32x32"
batch_size = 4
losses = { l1 = 1.0 }
steps = 2
[[stage]]
name = "first"
[[stage]]
name = "main"
"""


def mix(spec: str) -> Any:
    return load_source(spec)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.7])
@pytest.mark.parametrize("size", [4, 16])
def test_every_batch_has_the_share(share: float, size: int) -> None:
    source = mix(f"both:[{BLOCKS}|{NOISE}],share={share}")
    order = order_of(source, size, seed=3)
    assert isinstance(order, MixedOrder)
    counts = [sum(map(source.part_of, order.indices(step))) for step in range(40)]
    assert all(abs(count - share * size) < 1 for count in counts)
    assert abs(sum(counts) - share * size * 40) < 1


def test_each_source_comes_in_rounds_of_its_own_in_another_order() -> None:
    source = mix(f"both:[{BLOCKS}|{NOISE}],share=0.5")
    order = order_of(source, 8, seed=3)
    shown = [index for step in range(10) for index in order.indices(step)]
    first = [index for index in shown if not source.part_of(index)]
    second = [index for index in shown if source.part_of(index)]
    assert set(Counter(first).values()) == {1} and len(first) == 40
    assert set(Counter(second).values()) == {4} and len(set(second)) == 10
    rounds = [second[i : i + 10] for i in range(0, 40, 10)]
    assert all(sorted(one) == sorted(rounds[0]) for one in rounds) and len(set(map(tuple, rounds))) == 4
    assert order_of(source, 8, seed=4).indices(0) != order.indices(0)


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    source = mix(f"both:[{BLOCKS}|{NOISE}],share=0.3")
    whole = order_of(source, 8, seed=3)
    forward = [whole.indices(step) for step in range(12)]
    fresh = order_of(source, 8, seed=3)
    assert [fresh.indices(step) for step in reversed(range(12))] == forward[::-1]


def test_an_endless_mix_has_the_share_in_its_listing() -> None:
    source = mix("both:[sim:blocks|sim:rooms],share=0.25")
    order = order_of(source, 8, seed=3)
    assert isinstance(order, EvenOrder)
    assert [sum(map(source.part_of, order.indices(step))) for step in range(20)] == [2] * 20


def test_part_of_a_mix_is_a_mix() -> None:
    source = mix(f"both:[{BLOCKS}|{NOISE}],share=0.5")
    part: Any = subset(source, range(5, 50))
    assert part.share == 0.5 and [part.part_of(i) for i in range(45)] == [source.part_of(i) for i in range(5, 50)]
    order = order_of(part, 4, seed=1)
    assert all(sum(map(part.part_of, order.indices(step))) == 2 for step in range(20))
    only: Any = subset(source, [i for i in range(50) if source.part_of(i)])
    assert sorted(i for step in range(5) for i in order_of(only, 2, seed=1).indices(step)) == list(range(10))


def test_kept_images_stay_marked() -> None:
    source = mix(f"both:[{BLOCKS}|{NOISE}],share=0.5")
    feed = Feed(source, batch_size=8, size=(24, 32), seed=5, device=CPU, cache=RenderCache())
    fresh = list(feed.batches(0, 12))
    again = list(feed.batches(0, 12))
    for one, two in zip(fresh, again, strict=True):
        wanted = [not name.startswith("2/") for name in one.ids]
        for batch in (one, two):
            assert batch.labelled is not None and batch.labelled.tolist() == wanted
            assert batch.depth is not None and batch.intrinsics is None
            assert [bool(known) for known in (batch.depth > 0).flatten(1).any(1)] == wanted
        assert torch.equal(one.image, two.image) and torch.equal(one.depth, two.depth)  # type: ignore[arg-type]


def shop(*settings: str) -> Workshop:
    config: RunConfig = load("mixed", RECIPE, {}, settings)
    return Workshop(config=config, device=CPU)


def shown(stage: str, made: Workshop) -> set[object]:
    source = made.images(next(one for one in made.config.stages if one.name == stage))
    whole: Any = source
    places = whole.indices if hasattr(whole, "of") else range(len(whole))
    return {identity(getattr(whole, "of", whole), place) for place in places}


def test_what_a_mix_holds_out_is_held_out_of_its_sources() -> None:
    made = shop("run.holdout=0.25", "first.data=sim:blocks,count=12")
    assert made.holdout is not None
    held = {identity(made.holdout.images.of, place) for place in made.holdout.images.indices}
    assert len(held) == 5 and len({key[0] for key in held}) == 2  # type: ignore[index]
    for stage in ("first", "main"):
        assert not shown(stage, made) & held and shown(stage, made)
    assert len(shown("first", made)) + sum("blocks" in str(key) for key in held) == 12


def test_what_is_held_out_of_a_source_is_held_out_of_a_mix() -> None:
    mixed = "first.data=both:[sim:noise,count=8|sim:blocks,count=12]"
    made = shop("run.holdout=0.25", "main.data=sim:blocks,count=12", mixed)
    assert made.holdout is not None
    held = {identity(made.holdout.images.of, place) for place in made.holdout.images.indices}
    assert len(held) == 3 and not shown("first", made) & held and len(shown("first", made)) == 17


def test_the_same_images_on_both_sides_are_held_out_on_both() -> None:
    made = shop("run.holdout=0.25", "main.data=both:[sim:blocks,count=8|sim:blocks,count=8],labels=first")
    assert made.holdout is not None
    held = {identity(made.holdout.images.of, place) for place in made.holdout.images.indices}
    assert held and not shown("main", made) & held


def test_an_endless_mix_beside_held_out_images_is_refused() -> None:
    made = shop("run.holdout=0.25", "first.data=both:[sim:noise|sim:blocks]")
    with pytest.raises(ConfigError, match="endless and has images that holdout"):
        made.images(made.config.stages[0])


def test_hard_images_and_shares_do_not_go_together() -> None:
    made = shop("main.sampling=hard")
    with pytest.raises(ConfigError, match="a share of each source; use sampling=even"):
        made.order(made.config.main)
