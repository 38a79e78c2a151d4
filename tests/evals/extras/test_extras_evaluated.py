"""Extra metrics stand beside the nine: in results, tables and files, and where an image has none."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import nn

from kdcli.errors import ConfigError
from kdcli.evals.extras.found import Extras
from kdcli.evals.extras.registry import EXTRAS, chosen, columns, weights
from kdcli.evals.intervals import over_known
from kdcli.evals.metrics import NAMES
from kdcli.evals.protocol import Protocol, find
from kdcli.evals.results import write_csv
from kdcli.evals.runner import evaluate
from kdcli.evals.written import read_per_image
from kdcli.report.tables import extra_rows
from kdcli.types import DepthKind, Geometry, Prediction, Sample


class Twice(nn.Module):
    """A model that says twice the truth."""

    depth_kind = DepthKind.METRIC

    def from_batch(self, batch: object) -> Prediction:
        return Prediction(depth=2 * batch.depth, kind=self.depth_kind)  # type: ignore[attr-defined]


class Rooms:
    """Two images of a wall, of which one has a plane."""

    name, depth_kind = "rooms", DepthKind.METRIC

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        camera = torch.tensor([50.0, 50.0, 20.5, 15.5])
        depth = torch.full((1, 30, 40), 2.0 + index)
        return Sample(id=str(index), image=torch.zeros(3, 30, 40), depth=depth, intrinsics=camera)

    def geometry(self, index: int) -> Geometry:
        wall = (torch.ones(30, 40, dtype=torch.bool), torch.tensor([0.0, 1.0, 0.0]))
        return Geometry(planes=(wall,) if index else ())


def test_extras_are_columns_beside_the_nine(tmp_path: Path) -> None:
    rules = Protocol(name="x", extras=("irmse", "planarity"), max_depth=None)
    found = evaluate({"m": Twice()}, Rooms(), rules)["m"]
    plain = evaluate({"m": Twice()}, Rooms(), Protocol(name="x", max_depth=None))["m"]
    assert torch.equal(found.values, plain.values) and found.protocol.hash == plain.protocol.hash
    assert plain.extras is None and "extras" not in plain.document()
    assert found.extras is not None and found.extras.names == ("irmse", "plane_flatness", "plane_orientation", "planes")
    assert found.extras.metrics["irmse"] == pytest.approx((250 + 1000 / 6) / 2)
    assert found.extras.metrics["plane_orientation"] == pytest.approx(0, abs=1e-4)
    assert found.extras.n == {"irmse": 2, "plane_flatness": 1, "plane_orientation": 1, "planes": 2}
    assert found.document()["extras"]["ci95"]["plane_flatness"] == [None, None]
    write_csv(tmp_path / "x.csv", [found])
    header, first, second = csv.reader((tmp_path / "x.csv").open())
    assert header[6:] == [*NAMES, *found.extras.names, "skipped"]
    assert float(first[header.index("irmse")]) == pytest.approx(250)
    assert first[header.index("plane_flatness")] == "nan" != second[header.index("plane_flatness")]
    assert len(read_per_image(tmp_path / "x.csv", "m", "look")) == 2
    rows = {row[0]: row for row in extra_rows([found])[1]}
    assert rows["irmse (1/km)"][1] == "less" and rows["plane_flatness (cm)"][2].endswith("(n=1)")
    assert extra_rows([plain])[1] == []


def test_every_extra_has_as_many_numbers_as_columns() -> None:
    everything = Protocol(name="x", extras=tuple(EXTRAS), max_depth=None)
    found = evaluate({"m": Twice()}, Rooms(), everything)["m"]
    assert found.extras is not None and found.extras.values.shape == (2, len(columns(tuple(EXTRAS))))
    assert all(len(extra.better) == len(extra.columns) >= len(extra.unit) for extra in EXTRAS.values())


def test_a_cut_map_has_no_geometry_of_the_set() -> None:
    cut = Protocol(name="x", extras=("planarity",), max_depth=None, band=0.5)
    found = evaluate({"m": Twice()}, Rooms(), cut)["m"]
    assert found.extras is not None and found.extras.n["plane_flatness"] == 0


def test_an_unknown_extra_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'irmse'"):
        chosen(("irmes",))
    with pytest.raises(ConfigError, match="unknown"):
        evaluate({"m": Twice()}, Rooms(), Protocol(name="x", extras=("nonesuch",)))


def test_means_are_over_the_images_that_have_a_number() -> None:
    values = torch.tensor([[1.0, torch.nan], [3.0, 5.0], [5.0, torch.nan]], dtype=torch.float64)
    means, low, high = over_known(values)
    assert means.tolist() == [3, 5] and low[1].isnan() and high[1].isnan()
    assert 1 <= float(low[0]) < 3 < float(high[0]) <= 5


def test_planes_weigh_alike_whatever_image_they_are_in() -> None:
    names = columns(("planarity",))
    values = torch.tensor([[6.0, 3.0, 1], [2.0, 9.0, 3], [torch.nan, torch.nan, 0]], dtype=torch.float64)
    found = Extras(names=names, values=values, weights=weights(("planarity",)))
    assert found.metrics["plane_flatness"] == pytest.approx((6 + 3 * 2) / 4)
    assert found.metrics["plane_orientation"] == pytest.approx((3 + 3 * 9) / 4)
    assert found.metrics["planes"] == pytest.approx(4 / 3) and found.n["plane_flatness"] == 2
    low, high = found.ci95["plane_flatness"]
    assert 2 <= low < 3 < high <= 6


def test_the_selection_of_kitti_has_its_own_metrics() -> None:
    assert columns(find("kitti-selection").extras) == ("irmse", "sq_error_rel")
    assert columns(find("ibims").extras) == (
        "plane_flatness", "plane_orientation", "planes", "edge_accuracy", "edge_completeness", "directed",
        "directed_near", "directed_far",
    )  # fmt: skip
