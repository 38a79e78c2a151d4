from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdcli.evals import evaluate, examine
from kdcli.evals.baseline import Constant
from kdcli.evals.measured import Measured
from kdcli.report.run_report import write_run_report
from kdcli.report.run_verdict import run_verdict
from kdcli.sources import load_source
from kdcli.types import DepthKind, Prediction


class Mean(nn.Module):
    """A 1x1 convolution: three multiply-adds a pixel, four parameters. It gives one depth."""

    def __init__(self, depth: float = 1.0) -> None:
        super().__init__()
        self.layer, self.depth = nn.Conv2d(3, 1, 1), depth
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)  # type: ignore[arg-type]

    def forward(self, image: Any) -> Prediction:
        return Prediction(depth=self.depth + self.layer(image).abs(), kind=DepthKind.METRIC)


def measured(count: int = 2, **models: nn.Module) -> Measured:
    source = load_source(f"sim:rooms,count={count},seed=7,size=24x32")
    return Measured(results=evaluate(models, source, distances=True), models=models, source=source)


def page_of(folder: Path, manifest: dict[str, Any] | None = None, **given: Any) -> str:
    (folder / "config.toml").write_text('student = "mean"\n')
    write_run_report(folder, manifest or {}, [], seconds=1, **given)
    return (folder / "report.html").read_text()


def test_the_page_begins_with_the_verdict_and_one_row_a_model(tmp_path: Path) -> None:
    accuracy = measured(teacher=Constant(), student=Mean(3.0), twin=Mean(30.0))
    page = page_of(
        tmp_path, accuracy=accuracy, labels={"twin": "twin (plain)"},
        examples=examine(accuracy.models, accuracy.source, [0, 1]),
    )  # fmt: skip
    assert page.index('class="lead"') < page.index("<table>") < page.index("<img") < page.index("Worst 2 images")
    assert "<strong>The student is told apart from its twin (plain), and better: delta1 " in page
    table = page[page.index("<table>") : page.index("</table>")]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)]
    assert [name.replace("\xa0", " ") for name in rows[0]] == [
        "model", "abs_rel \u2193", "delta1 \u2191", "rmse (m) \u2193", "parameters \u2193", "multiply-adds \u2193",
        "latency (ms) \u2193", "weights (MB) \u2193",
    ]  # fmt: skip
    by_model = {row[0]: row[4:] for row in rows[1:]}
    assert by_model["student"][:2] == ["4", "2.30 k"] and by_model["teacher"][:2] == ["-", "-"]
    assert float(by_model["student"][2]) > 0 and float(by_model["student"][3]) == pytest.approx(16e-6)
    first, *_ = page.partition("Worst 2 images")
    assert first.count("<img") == 2 * 5 and first.index("1 more held-out images") < first.rindex("<img")
    assert "Error against distance</h2>" in page and page.index("Error against") < page.index("Made from")


def test_without_teacher_or_twin_nothing_is_said_of_them(tmp_path: Path) -> None:
    accuracy = measured(student=Mean())
    page = page_of(tmp_path, accuracy=accuracy, examples=examine(accuracy.models, accuracy.source, [0]))
    body = page[page.index("<main>") :]
    assert "twin" not in body and "teacher" not in body
    first, *_ = page.partition("Worst 2 images")
    assert first.count("<img") == 3


def test_a_run_that_was_not_measured_says_so(tmp_path: Path) -> None:
    assert "<strong>Nothing was measured:" in page_of(tmp_path)


@pytest.mark.parametrize(
    ("twin", "told"),
    [(Mean(30.0), "is told apart from its twin, and better"), (Mean(6.0), "is not told apart from its twin")],
)
def test_the_verdict_follows_the_paired_interval(twin: nn.Module, told: str) -> None:
    found = measured(6, student=Mean(3.0), twin=twin).results
    said = run_verdict(found, {})
    assert told in said[0] and re.search(r"95 % interval [+-]0\.\d+ to [+-]0\.\d+ on 6 images", said[0])
    turned = run_verdict({"student": found["twin"], "twin": found["student"]}, {})
    assert turned[0].startswith("The student is told apart from its twin, and worse") == ("better" in told)
    assert "one image" in run_verdict(measured(1, student=Mean(3.0), twin=twin).results, {})[0]


def test_what_the_recipe_is_and_whose_licence_it_stands_under_come_last(tmp_path: Path) -> None:
    teacher = {"spec": "demo", "licence": "<Apache>", "training_data": "rooms", "sha256": "ab"}
    page = page_of(tmp_path, {"recipe": "mine", "teachers": [teacher]}, about="Somebody's <method>")
    last = page[page.index("Made from</h2>") :]
    assert "mine: Somebody&#x27;s &lt;method&gt;" in last and "licence &lt;Apache&gt;, trained on rooms" in last
    assert last.rindex("licence") > last.index("Every value of the recipe")


@pytest.mark.parametrize("mixed", [False, True])
def test_the_caption_says_what_was_done_to_training_images(tmp_path: Path, mixed: bool) -> None:
    from kdcli.report.picture import contact_sheet

    contact_sheet(tmp_path / "images.png", {"source": torch.rand(2, 3, 8, 8)})
    assert ("mixing" in page_of(tmp_path, mixed=mixed)) is mixed
