from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdcli.evals import Result, evaluate
from kdcli.evals.baseline import Constant
from kdcli.evals.cost import Cost
from kdcli.evals.metrics import NAMES
from kdcli.report.evaluation import write_evaluation
from kdcli.report.tables import amount, condition_rows, metric_rows, number, paired_rows, skipped_rows
from kdcli.types import DepthKind, Finding, Prediction, Sample


class Scenes:
    name = "scenes"
    depth_kind = DepthKind.METRIC

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        depth = 1 + 4 * torch.rand(1, 8, 9, generator=generator)
        return Sample(
            id=f"<{index}>", image=torch.rand(3, 8, 9, generator=generator), depth=depth if index else None,
            valid=depth > 1.5 if index else None,
        )  # fmt: skip

    def check(self) -> list[Finding]:
        return []


class Bright(nn.Module):
    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=1 + image.mean(1, keepdim=True), kind=DepthKind.AFFINE_DISPARITY)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return list(evaluate({"constant": Constant(), "bright": Bright()}, Scenes()).values())


def test_rows_fit_their_columns(results: list[Result]) -> None:
    for columns, rows in (f(results) for f in (metric_rows, paired_rows, condition_rows, skipped_rows)):
        assert rows
        assert all(len(row) == len(columns) for row in rows)


def test_metrics_carry_their_interval_and_their_direction(results: list[Result]) -> None:
    columns, rows = metric_rows(results)
    assert columns == ["metric", "better", "constant", "bright"]
    assert [row[0].split()[0] for row in rows] == [*NAMES, "parameters", "multiply-adds"]
    assert [row[1] for row in rows] == ["less"] * 6 + ["more"] * 3 + ["less"] * 2
    value = number(results[0].metrics["rmse"])
    low, high = map(number, results[0].ci95["rmse"])
    assert rows[2][2] == f"{value} [{low}, {high}]"


def test_costs_follow_the_metrics(results: list[Result]) -> None:
    cost = Cost(parameters=6_054_609, multiply_adds=3_780_000_000, size=(448, 448))
    columns, rows = metric_rows([results[0], replace(results[1], cost=cost)])
    assert rows[-2:] == [
        ["parameters", "less", "-", "6.05 M"], ["multiply-adds", "less", "-", "3.78 G at 448x448"],
    ]  # fmt: skip
    assert len(columns) == 4  # one column for each model, however much is told of it


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (999, "999"), (1_000, "1.00 k"), (9_994, "9.99 k"), (9_995, "10.0 k"), (99_949, "99.9 k"),
     (99_960, "100 k"), (999_499, "999 k"), (999_500, "1.00 M"), (273_700_000, "274 M"), (2 * 10**15, "2000 T")],
)  # fmt: skip
def test_amounts_have_three_digits(value: int | None, text: str) -> None:
    assert amount(value) == text


def test_skipped_images_share_a_row(results: list[Result]) -> None:
    assert skipped_rows(results)[1] == [["<0>", "no ground truth", "all models"]]


def test_a_long_list_of_skipped_images_is_cut_and_counted(results: list[Result]) -> None:
    skipped = tuple(type(results[0].skipped[0])(id=str(i), reason="x") for i in range(30))

    class Fake:
        model = "m"

    fake = Fake()
    fake.skipped = skipped  # type: ignore[attr-defined]
    rows = skipped_rows([fake], most=10)[1]  # type: ignore[list-item]
    assert len(rows) == 11
    assert rows[-1][0] == "and 20 more"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (12.3456, "12.35"), (1234.56, "1235"), (0.0, "0.0000"), (math.nan, "-"), (0.00012, "0.0001"),
     (math.inf, "-")],
)  # fmt: skip
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_the_report_shows_conditions_differences_and_the_worst(tmp_path: Path, results: list[Result]) -> None:
    path = tmp_path / "report.html"
    write_evaluation(path, results, {"constant": Constant(), "bright": Bright()}, Scenes(), worst=2)
    text = path.read_text()
    for heading in ("All metrics", "Paired differences", "Conditions", "Worst 2 images of constant", "Provenance"):
        assert heading in text
    assert "aligned or read out" in text
    assert results[0].protocol.hash in text
    assert results[1].protocol.hash in text
    # At the top picture, ground truth and depth of the two models; per worst image the errors beside these.
    assert text.count("data:image/webp") == (2 + 2) + 2 * (2 + 2 * 2)
    worst = results[0].ids[int(results[0].values[:, 0].argmax())]
    assert f"&lt;{worst[1:-1]}&gt; (abs_rel" in text
    assert f"<h3>{worst}" not in text
