"""One page of each kind, made without training, for those who look at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.evals import evaluate, examine
from kdcli.evals.measured import Measured
from kdcli.report.comparison import write_comparison
from kdcli.report.evaluation import write_evaluation
from kdcli.report.picture import contact_sheet
from kdcli.report.run_report import write_run_report
from kdcli.sources import load_source
from kdcli.study.grid import Study
from kdcli.study.report import write_reports
from kdcli.study.rows import Comparison, Difference, Interval, Row, TeacherRow
from kdcli.study.rows import Table as StudyTable
from kdcli.types import DepthKind, Prediction

LABELS = {"teacher": "teacher", "twin": "twin (plain distillation on the same images)"}
CONFIG = """recipe = "data-free"  # flag
student = "mobilenet,width=0.35,max_depth=10,pretrained=false"  # recipe
[[stage]]
name = "distill"
losses = { log-l1 = 1.0, gradient = 0.5 }  # recipe
"""


class Blurred(nn.Module):
    """Depth that is nearer where the image is bright, below a ramp; it says nothing of the leftmost pixels."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 5, padding=2)
        nn.init.constant_(self.layer.weight, -gain / 75)
        nn.init.constant_(self.layer.bias, 4.5)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Prediction:
        ramp = torch.linspace(1, -1, image.shape[-2])[:, None]
        depth = (self.layer(image) + ramp).clamp(min=0.5)
        valid = torch.ones_like(depth, dtype=torch.bool)
        valid[..., :4] = False
        return Prediction(depth=depth, kind=DepthKind.METRIC, valid=valid)


def measured(count: int, size: str, **models: nn.Module) -> Measured:
    source = load_source(f"sim:rooms,count={count},seed=7,size={size}")
    found = evaluate(models, source, distances=True, spec=f"sim:rooms,count={count},seed=7,size={size}")
    return Measured(results=found, models=models, source=source)


def steps(*variants: str) -> list[dict[str, Any]]:
    return [
        {"variant": variant, "stage": "distill", "step": step, "loss": 2 / step, "term/log-l1.depth": 1 / step,
         "term/gradient.depth": 0.3, "images_per_second": 20.0, "scale": 1.01, "scale_spread": 0.1}
        for variant in variants for step in range(1, 21)
    ]  # fmt: skip


def manifest(results: dict[str, Any]) -> dict[str, Any]:
    teacher = {"spec": "demo", "licence": "Apache-2.0", "training_data": "sim:rooms (simulated)", "sha256": "6" * 64}
    return {
        "recipe": "data-free", "seed": 0, "device": "cpu", "teachers": [teacher], "versions": {"torch": "2.14"},
        "argv": ["kdcli", "distill", "--data", "sim:blocks,count=3000", "--out", "runs/2026-11-29_data-free-mobilenet"],
        "eval": results,
    }  # fmt: skip


def run_page(folder: Path) -> Path:
    accuracy = measured(6, "64x96", teacher=Blurred(2), student=Blurred(1), twin=Blurred(0.5))
    (folder / "config.toml").write_text(CONFIG)
    for name in ("images", "transform-images"):
        contact_sheet(folder / f"{name}.png", {"source": torch.rand(6, 3, 64, 96)})
    write_run_report(
        folder, manifest({}), steps("student", "twin"), accuracy=accuracy, labels=LABELS, about="no target images",
        examples=examine(accuracy.models, accuracy.source, [0, 1, 2, 3, 4, 5]), mixed=True, seconds=2,
    )  # fmt: skip
    return folder / "report.html"


def evaluation_page(folder: Path) -> Path:
    models = {"runs/2026-11-29_data-free-mobilenet": Blurred(2.0), "teacher:demo": Blurred(1.0), "c": Blurred(0)}
    found = measured(4, "64x96", **models)
    write_evaluation(folder / "evaluation.html", list(found.results.values()), models, found.source)
    return folder / "evaluation.html"


def comparison_page(folder: Path) -> Path:
    found = measured(4, "24x32", student=Blurred(2), twin=Blurred(1)).documents()
    documents = [found["student"], found["twin"]]
    paired = found["student"]["paired"]["twin"]
    rows = [
        {"run": f"runs/2026-11-29_{name}", "recipe": name, "student": "mobilenet,width=0.35", "protocol": "plain (ab)",
         "metrics": result["metrics"], "delta1_against_first": "" if i == 0 else "+0.1 [+0.0, +0.2] on 4 images",
         "delta1_paired": None if i == 0 else {
             "difference": paired["difference"]["delta1"], "ci95": paired["ci95"]["delta1"], "n": 4}}
        for i, (name, result) in enumerate(zip(("data-free", "own-images"), documents, strict=True))
    ]  # fmt: skip
    manifests = [manifest({"student": result}) for result in documents]
    write_comparison(folder / "comparison.html", rows, manifests, [steps("student"), steps("student")])
    return folder / "comparison.html"


def study_page(folder: Path) -> Path:
    def estimate(value: float) -> Interval:
        return Interval(value=value, low=value - 0.02, high=value + 0.02)

    metrics = ("delta1", "abs_rel")
    rows = [
        Row(
            arm=name, label=f"the {name} arm", count=None, seeds=(0, 1), images=384, teacher_images=6400,
            metrics={metric: estimate(0.6 + gain) for metric in metrics},
            per_seed=dict.fromkeys(metrics, (0.6, 0.61)), runs=("cells/a/seed0", "cells/a/seed1"),
            against=None if name == "plain" else Comparison(
                first=name, second="plain", seeds=(0, 1), images=384, same_protocol=True,
                difference={metric: Difference(value=gain, low=gain - 0.01, high=gain + 0.01, above_zero=0.9)
                            for metric in metrics},
            ),
        )
        for name, gain in (("plain", 0.0), ("data-free", 0.05), ("mixed-only", 0.002), ("noise", -0.3))
    ]  # fmt: skip
    table = StudyTable(
        study="mini", about="what each part brings", eval_data="sim:rooms,count=384,seed=1000", reference="plain",
        protocol={"name": "plain", "hash": "e7fce2f2b91bd271"}, metrics=metrics, rows=tuple(rows), contrasts=(),
        teachers=(TeacherRow(spec="demo", arms=("plain",), images=384, metrics={m: estimate(0.9) for m in metrics}),),
        missing=("noise, seed 2",),
    )  # fmt: skip
    study = Study(
        name="mini", about="", metrics=metrics, reference="plain", contrasts=(), eval_data="", protocol="plain",
        seeds=(0, 1), counts=(), arms=(), cells=(), text="[study]\nreference = 'plain'\n",
    )  # fmt: skip
    (folder / "study").mkdir()
    write_reports(study, table, folder / "study")
    return folder / "study" / "report.html"


PAGES = {"run": run_page, "evaluation": evaluation_page, "comparison": comparison_page, "study": study_page}
