"""What a set knows of its scenes goes through parts and mixes of sources, to the right image and in its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from trees_ibims import matlab

from kdcli.errors import DataError
from kdcli.evals.protocol import Protocol
from kdcli.evals.runner import evaluate
from kdcli.sources import load_source
from kdcli.sources.both import Both
from kdcli.sources.sets.ibims import IbimsSource
from kdcli.sources.subset import subset
from kdcli.types import DepthKind, Finding, Geometry, Prediction, Sample

HEIGHT, WIDTH, COUNT = 30, 40, 5
RULES = Protocol(name="x", extras=("boundaries", "planarity"), max_depth=None)


class Bare:
    """Rooms of which nothing but depth is known."""

    name: str = "bare"
    depth_kind: DepthKind | None = DepthKind.METRIC

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int, /) -> Sample:
        depth = torch.full((1, HEIGHT, WIDTH), 2.0 + index)
        depth[:, :, : 10 + index] = 1.5
        return Sample(id=str(index), image=torch.zeros(3, HEIGHT, WIDTH), depth=depth, valid=depth > 0,
                      intrinsics=torch.tensor([50.0, 50.0, 19.5, 14.5]))  # fmt: skip

    def check(self) -> Sequence[Finding]:
        return []


class Known(Bare):
    """Rooms with an edge a little further right in each, and a wall."""

    name = "known"

    def geometry(self, index: int) -> Geometry:
        edges = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        edges[:, 12 + 2 * index] = True
        wall = torch.zeros_like(edges)
        wall[:, 20:] = True
        return Geometry(edges=edges, planes=((wall, torch.tensor([0.0, 1.0, 0.0])),))


class Truth(torch.nn.Module):
    depth_kind = DepthKind.METRIC

    def from_batch(self, batch: Any) -> Prediction:
        return Prediction(depth=batch.depth, kind=self.depth_kind)


def column(known: Geometry) -> int:
    assert known.edges is not None
    return int(known.edges[0].nonzero()[0, 0])


def measured(source: Any) -> dict[str, list[float]]:
    """The extra metrics of each image, by the id that its source gives it."""
    found = evaluate({"m": Truth()}, source, RULES)["m"]
    assert found.extras is not None
    return dict(zip(found.ids, found.extras.values.tolist(), strict=True))


def test_parts_tell_of_their_own_images() -> None:
    some = subset(Known(), [4, 1, 3])
    assert [column(some.geometry(i)) for i in range(3)] == [20, 14, 18]
    assert column(subset(some, [2, 0]).geometry(0)) == 18
    assert not hasattr(subset(Bare(), [1]), "geometry")
    assert all(hasattr(subset(kind(), [1]), "check") for kind in (Bare, Known))
    whole, part = measured(Known()), measured(some)
    assert len({tuple(row[:1]) for row in whole.values()}) > 1
    assert part == {name: whole[name] for name in ("4", "1", "3")}


def test_mixes_tell_of_the_right_image() -> None:
    mix = Both("mix", (Bare(), Known()), share=0.5, labels="both")  # type: ignore[arg-type]
    for i in range(len(mix)):
        told = mix.geometry(i)
        if mix.part_of(i):
            assert column(told) == column(Known().geometry(int(mix[i].id.removeprefix("2/"))))
        else:
            assert told.edges is None and told.planes == ()
    whole, bare, both = measured(Known()), measured(Bare()), measured(mix)
    wanted = {f"1/{name}": row for name, row in bare.items()} | {f"2/{name}": row for name, row in whole.items()}
    torch.testing.assert_close([both[name] for name in wanted], list(wanted.values()), equal_nan=True)
    assert not hasattr(Both("mix", (Bare(), Bare()), share=0.5, labels="both"), "geometry")  # type: ignore[arg-type]


def test_a_set_tells_of_what_was_selected(tmp_path: Path) -> None:
    matlab(tmp_path / "ibims1_core_mat")
    whole, last = (IbimsSource(location=str(tmp_path), start=start) for start in (0, 1))
    mix = load_source(f"both:[ibims:{tmp_path},start=1|ibims:{tmp_path}]")
    places = [i for i in range(len(mix)) if mix[i].id == f"2/{whole[1].id}"]
    for told in (last.geometry(0), subset(whole, [1]).geometry(0), mix.geometry(places[0])):  # type: ignore[attr-defined]
        wanted = whole.geometry(1)
        assert told.edges is not None and wanted.edges is not None and torch.equal(told.edges, wanted.edges)
        assert [mask.sum() for mask, _ in told.planes] == [mask.sum() for mask, _ in wanted.planes] != []


def test_maps_of_other_pixels_than_the_depth_are_refused() -> None:
    class Smaller(Known):
        def geometry(self, index: int) -> Geometry:
            return Geometry(edges=torch.zeros(HEIGHT // 2, WIDTH // 2, dtype=torch.bool))

    with pytest.raises(DataError, match=r"'known' item 0 has edges or planes of 20x15 pixels and depth of 40x30"):
        evaluate({"m": Truth()}, Smaller(), RULES)  # type: ignore[arg-type]


def test_a_protocol_that_resizes_the_truth_does_without() -> None:
    from kdcli.evals.crops import Frame

    frame = Frame(height=15, width=20, short_side=15, paste=True)
    rules = Protocol(name="x", extras=("planarity",), max_depth=None, frame=frame)
    found = evaluate({"m": Truth()}, Known(), rules)["m"]  # type: ignore[arg-type]
    assert found.extras is not None and found.extras.n["plane_flatness"] == 0
