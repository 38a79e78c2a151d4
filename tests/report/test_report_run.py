from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import nn

from kdcli.evals import evaluate
from kdcli.evals.baseline import Constant
from kdcli.report.run_report import write_run_report
from kdcli.sources import load_source
from kdcli.types import DepthKind, Prediction


class Mean(nn.Module):
    """A 1x1 convolution: three multiply-adds a pixel, four parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1)

    def forward(self, image: Any) -> Prediction:
        return Prediction(depth=1 + self.layer(image).abs(), kind=DepthKind.METRIC)


def test_costs_stand_beside_the_metrics(tmp_path: Path) -> None:
    source = load_source("sim:rooms,count=2,seed=7,size=24x32")
    found = evaluate({"teacher": Constant(), "student": Mean()}, source)
    documents = {role: result.document() for role, result in found.items()}
    assert table(tmp_path, documents) == [["-", "-"], ["4", "2.30 k at 24x32"]]


def test_results_of_older_runs_have_none(tmp_path: Path) -> None:
    source = load_source("sim:rooms,count=2,seed=7,size=24x32")
    document = evaluate({"student": Mean()}, source)["student"].document()
    older = {key: value for key, value in document.items() if not key.startswith(("parameters", "multiply"))}
    assert table(tmp_path, {"student": older}) == [["-", "-"]]


def table(folder: Path, documents: dict[str, Any]) -> list[list[str]]:
    """Return the last two cells of each model's row in the report."""
    (folder / "config.toml").write_text('student = "mean"\n')
    write_run_report(folder, {}, documents, [], seconds=1)
    page = (folder / "report.html").read_text()
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)]
    begin = next(i for i, row in enumerate(rows) if row[:2] == ["model", "delta1"])
    assert rows[begin][-2:] == ["parameters", "multiply-adds"]
    return [row[-2:] for row in rows[begin + 1 : begin + 1 + len(documents)]]


def test_what_the_recipe_is_comes_first(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('student = "mean"\n')
    write_run_report(tmp_path, {"recipe": "mine"}, {}, [], about="Somebody's <method>, a reconstruction", seconds=1)
    page = (tmp_path / "report.html").read_text()
    first = page.partition("</section>")[0]
    assert "<h2>Recipe mine</h2>" in first and "Somebody&#x27;s &lt;method&gt;, a reconstruction" in first
    write_run_report(tmp_path, {"recipe": "mine"}, {}, [], seconds=1)
    assert "<h2>Recipe" not in (tmp_path / "report.html").read_text()
