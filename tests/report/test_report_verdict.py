"""The verdict: a sentence that says what the numbers say, and no more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdcli.evals.baseline import Constant
from kdcli.evals.cost import Cost
from kdcli.evals.distances import EDGES, Distances
from kdcli.evals.metrics import NAMES
from kdcli.evals.protocol import find
from kdcli.evals.results import Result
from kdcli.evals.sets import EvalSet, SetResults
from kdcli.report.drawings import Interval, Point, forest, scatter
from kdcli.report.evaluation import write_sets
from kdcli.report.naming import short_names
from kdcli.report.tables import overview_rows
from kdcli.report.verdict import verdict, verdict_of_sets
from kdcli.sources import load_source
from kdcli.types import DepthKind, Prediction


def result(model: str, errors: list[float], *, parameters: int | None = None, work: int | None = None,
           protocol: str = "plain") -> Result:  # fmt: skip
    values = torch.full((len(errors), len(NAMES)), 0.5, dtype=torch.float64)
    values[:, 0] = torch.tensor(errors)
    ids = tuple(map(str, range(len(errors))))
    return Result(
        model=model, depth_kind=DepthKind.METRIC, protocol=find(protocol), indices=tuple(range(len(errors))), ids=ids,
        values=values, pixels=torch.full((len(errors),), 10),
        cost=Cost(parameters=parameters, multiply_adds=work, size=(64, 96) if work else None),
    )


NEAR, FAR = [0.10, 0.11, 0.12, 0.10], [0.20, 0.22, 0.21, 0.20]


def test_a_clear_lead_is_said_with_its_interval_whatever_the_order() -> None:
    for order in (0, 1):
        pair = [result("b", FAR), result("a", NEAR)]
        told = verdict(pair[::-1] if order else pair)[0]
        assert told.startswith("a is best: abs_rel 0.1075 against 0.2075 of b, 48.2 % less; the 95 % interval of the")
        assert "is clear of zero (4 images)" in told


def test_what_cannot_be_told_apart_is_not_ranked() -> None:
    told = verdict([result("a", [0.1, 0.2, 0.3]), result("b", [0.2, 0.1, 0.33])])[0]
    assert told.startswith("a and b cannot be told apart: abs_rel 0.2000 against 0.2100") and "holds zero" in told
    assert "are level" in verdict([result("a", NEAR), result("b", NEAR)])[0]
    assert "one image tells no more" in verdict([result("a", [0.1]), result("b", [0.2])])[0]


def test_one_model_is_said_in_plain_numbers_beside_the_median() -> None:
    told = verdict([result("constant", FAR), result("net", NEAR)])
    assert told[0] == ("net is off by 10.7 % of the distance on average (95 % interval 10 % to 11.5 %, 4 images); 50 % "
                       "of the pixels are within a factor of 1.25.")
    assert told[1].endswith("is off by 20.7 %: net clearly beats it.")
    assert "does not clearly beat it" in verdict([result("constant", NEAR), result("net", FAR)])[1]
    assert verdict([result("constant", FAR)])[0].startswith("Each image's own median is off by 20.7 %")
    assert verdict([result("a", [])]) == ["No image could be measured."]


def test_cost_is_said_beside_accuracy() -> None:
    told = verdict([
        result("big", FAR, parameters=24_000_000, work=3_000_000_000),
        result("small", NEAR, parameters=6_000_000, work=6_000_000_000), result("files", [0.3, 0.3, 0.3, 0.3]),
    ])  # fmt: skip
    assert told[-1] == ("small has 6.00 M parameters and 6.00 G multiply-adds an image at 64x96; big has 24.0 M "
                        "parameters and 3.00 G multiply-adds an image at 64x96 (4 times the parameters and 1/2 of the "
                        "multiply-adds).")  # fmt: skip


def test_models_that_were_measured_differently_are_said_to_be() -> None:
    assert "compare with care" in verdict([result("a", NEAR), result("b", FAR, protocol="plain+median")])[-1]


def test_several_sets_are_summed_up() -> None:
    groups = [("A", [result("a", NEAR), result("b", FAR)]), ("B", [result("a", FAR), result("b", NEAR)]),
              ("C", [result("a", [0.1, 0.2]), result("b", [0.21, 0.1])])]  # fmt: skip
    told = verdict_of_sets(groups)
    assert told[0] == "a is first on 2 of 3 sets by abs_rel (A, C); b on B."
    assert told[1] == "On C the lead over the next is within the 95 % interval."
    assert "clear of its 95 % interval" in verdict_of_sets(groups[:2])[1]
    assert verdict_of_sets([("A", groups[0][1][:1])]) == ["a was measured on 1 sets."]


def test_the_overview_has_the_best_model_first() -> None:
    columns, rows = overview_rows([result("b", FAR), result("none", []), result("a", NEAR, parameters=1000)])
    assert columns == [
        "model", "abs_rel \u2193", "delta1 \u2191", "rmse (m) \u2193", "parameters \u2193", "multiply-adds \u2193",
        "images",
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["a", "b", "none"] and rows[0][4] == "1.00 k" and rows[2][1] == "-"


def test_names_are_as_short_as_they_can_be() -> None:
    assert short_names(["predictions:/a/b/out,kind=metric", "runs/x/student.safetensors", "teacher:demo"]) == {
        "predictions:/a/b/out,kind=metric": "predictions:out", "runs/x/student.safetensors": "student.safetensors",
        "teacher:demo": "teacher:demo",
    }  # fmt: skip
    assert short_names(["a/out", "b/out"]) == {"a/out": "a/out", "b/out": "b/out"}
    assert list(short_names(["x,k=1", "x,k=2"]).values()) == ["x,k=1", "x,k=2"]
    assert list(short_names(["teacher:best:[a/b|c/d]", "y"]).values()) == ["teacher:best:[a/b|c/d]", "y"]


def numbers(text: str, pattern: str) -> list[float]:
    return [float(one) for one in re.findall(pattern, text)]


def test_intervals_lie_about_a_common_zero_and_say_whether_they_hold_it() -> None:
    lines = [Interval(name="<a>", value=0.2, low=0.1, high=0.3), Interval(name="b", value=-0.1, low=-0.2, high=0.05)]
    text = forest(lines, "difference")
    first, second = numbers(text, r'circle cx="([\d.]+)"')
    zero = numbers(text, r'x1="([\d.]+)" x2="[\d.]+" y1="4" y2="\d+" stroke="currentColor"')[0]
    assert second < zero < first and "&lt;a&gt;" in text and "<a>" not in text
    assert text.count('fill="Canvas"') == 1  # the one that holds zero is hollow
    assert "no intervals" in forest([Interval(name="a", value=float("nan"), low=0, high=1)], "")


def test_points_lie_by_cost_and_error() -> None:
    points = [Point(name="small", cost=1e6, error=0.2), Point(name="big", cost=1e8, error=0.1)]
    text = scatter(points, "parameters", "e")
    (left, right), (upper, lower) = numbers(text, r'circle cx="([\d.]+)"'), numbers(text, r'cy="([\d.]+)"')
    assert left < right and upper < lower and "10 M" in text
    assert "no values" in scatter([], "parameters", "e")


class Bright(nn.Module):
    depth_kind = DepthKind.METRIC

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=1 + 4 * image.mean(1, keepdim=True), kind=self.depth_kind)


@pytest.mark.parametrize("count", [1, 2])
def test_the_page_begins_with_the_verdict(tmp_path: Path, count: int) -> None:
    from kdcli.evals import evaluate

    models = {"runs/long/bright": Bright(), "constant": Constant()}
    found, shown = [], {}
    for name in ("A", "B")[:count]:
        source = load_source(f"sim:rooms,count=3,size=24x32,seed={len(name + 'x' * len(found))}")
        results = list(evaluate(models, source, distances=True, spec=f"sim:{name}").values())
        found.append(SetResults(set=EvalSet(name=name, spec=f"sim:{name}", source=source, protocol="plain"),
                                results=results))  # fmt: skip
        shown[name] = models
    write_sets(tmp_path / "r.html", found, shown, worst=1)
    text = (tmp_path / "r.html").read_text()
    assert text.index("<h2>Verdict") < text.index('class="lead"') < text.index("Paired differences</h2>")
    for title in ("Error against distance", "Worst 1 images of bright by abs_rel"):
        assert text.count(f"{title}</h2>") == count
    assert "model bright" in text and "runs/long/bright" in text  # in full where it is told what was measured
    assert ("A AbsRel" in text) == (count == 2) and "<nav " in text
    assert len(EDGES) - 1 == len(found[0].results[0].distances.sums)  # type: ignore[union-attr]
    assert isinstance(found[0].results[0].distances, Distances)
    assert text.count("in one range for all images and models") == count


def test_the_constant_leaves_room_to_the_networks_in_plots_and_error_maps(tmp_path: Path) -> None:
    from kdcli.evals import evaluate
    from kdcli.report.curves import distance_plots, image_plots
    from kdcli.report.worst import worst_section

    models = {"constant": Constant(), "bright": Bright()}
    source = load_source("sim:rooms,count=3,size=24x32,seed=4")
    results = list(evaluate(models, source, distances=True).values())
    curves = distance_plots(results)[0]
    assert list(curves.series) == ["bright"] and list(distance_plots(results[:1])[0].series) == ["constant"]  # type: ignore[union-attr]
    assert list(image_plots(results)[0].series) == ["bright", "constant"]  # type: ignore[union-attr]

    def end(*named: str) -> float:
        chosen = [result for result in results if result.model in named]
        text = worst_section(chosen, {name: models[name] for name in named}, source, 3, None).blocks[0].text  # type: ignore[union-attr]
        return float(re.findall(r"brightest at ([\d.]+)", text)[0])

    assert end("constant", "bright") == end("bright") != end("constant")
