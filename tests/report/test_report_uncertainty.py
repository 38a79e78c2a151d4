from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from kdcli.evals import evaluate
from kdcli.report.evaluation import write_evaluation
from kdcli.report.tables import uncertainty_rows
from kdcli.sources import load_source
from kdcli.types import DepthKind, Prediction


class _Bins(nn.Module):
    depth_kind = DepthKind.METRIC

    def forward(self, image: Tensor) -> Prediction:
        centers = torch.linspace(0.5, 9.5, 10)
        probs = torch.softmax(-(centers.view(1, -1, 1, 1) - 9 * image.mean(1, keepdim=True)).square(), 1)
        depth = (probs * centers.view(1, -1, 1, 1)).sum(1, keepdim=True)
        return Prediction(depth=depth, kind=self.depth_kind, probs=probs, centers=centers)


class _Plain(_Bins):
    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=super().forward(image).depth, kind=self.depth_kind)


def test_table_and_report_hold_what_was_measured_and_only_that(tmp_path: Path) -> None:
    source = load_source("sim:rooms,count=3,size=24x32")
    models = {"sure": _Bins(), "plain": _Plain()}
    results = list(evaluate(models, source, uncertainty=True).values())
    columns, rows = uncertainty_rows(results)
    assert columns == ["uncertainty", "better", "sure"]
    better = {row[0]: row[1] for row in rows}
    assert better["ause_abs_rel_std"] == "less" and better["aurg_rmse_entropy"] == "more"
    assert better["coverage_90"] == "0.9" and better["width_50 (m)"] == ""
    assert all("[" in row[2] for row in rows)
    write_evaluation(tmp_path / "r.html", results, models, source, worst=1)
    text = (tmp_path / "r.html").read_text()
    part = text[text.index("<h2>Uncertainty") : text.index("<h2>Conditions")]
    assert part.count("<svg") == 2 and "sure: abs_rel of the pixels that are left" in text
    assert text.index("<h2>Uncertainty") < text.index("<h2>Conditions")
    before = list(evaluate(models, source).values())
    assert uncertainty_rows(before) == (["uncertainty", "better"], [])
    write_evaluation(tmp_path / "r.html", before, models, source, worst=0)
    assert "Uncertainty" not in (tmp_path / "r.html").read_text()
