"""Models that were measured on different images are compared on those that all have, and that is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from kdcli.evals import evaluate
from kdcli.evals.baseline import load
from kdcli.evals.examples import examine
from kdcli.evals.metrics import NAMES
from kdcli.evals.protocol import find
from kdcli.evals.results import Result
from kdcli.evals.sets import EvalSet, SetResults
from kdcli.images import write_depth_npy, write_image
from kdcli.report.common import differing, on_common
from kdcli.report.evaluation import write_sets
from kdcli.report.sets import rank_note, set_rows
from kdcli.report.verdict import verdict, verdict_of_sets
from kdcli.report.worst import worst_section
from kdcli.sources import load_source
from kdcli.types import DepthKind, Prediction


def result(model: str, errors: dict[int, float], pixels: int = 10) -> Result:
    values = torch.full((len(errors), len(NAMES)), 0.5, dtype=torch.float64)
    values[:, 0] = torch.tensor(list(errors.values()))
    return Result(
        model=model, depth_kind=DepthKind.METRIC, protocol=find("plain"), indices=tuple(errors),
        ids=tuple(map(str, errors)), values=values, pixels=torch.full((len(errors),), pixels),
    )


EASY_ALONE = result("easy", {0: 0.05, 1: 0.06, 2: 0.05})
BETTER = result("better", {0: 0.02, 1: 0.03, 2: 0.02, 3: 0.4, 4: 0.5, 5: 0.5})


def test_who_was_spared_the_hard_images_is_not_best() -> None:
    for pair in ([EASY_ALONE, BETTER], [BETTER, EASY_ALONE]):
        told = verdict(pair)
        assert told[0].startswith("better is best: abs_rel 0.0233 against 0.0533 of easy, 56.3 % less")
        assert "clear of zero (3 images)" in told[0]
        names = ", ".join(f"{one.model} {one.n}" for one in pair)
        assert told[1] == (f"Models were measured on different images ({names}): this is of the 3 images that all "
                           "models have.")
    assert [one.n for one in on_common([EASY_ALONE, BETTER])] == [3, 3]


def test_models_without_an_image_in_common_are_not_compared() -> None:
    told = verdict([EASY_ALONE, result("other", {7: 0.01, 8: 0.01})])
    assert told == ["Models were measured on different images (easy 3, other 2): no image was measured of all models."]


def test_one_without_numbers_takes_no_image_from_the_others() -> None:
    told = verdict([BETTER, replace(BETTER, model="same"), result("none", {})])
    assert told[0].startswith("better and same are level")
    assert differing([BETTER, result("none", {})]) == [] and on_common([BETTER, result("none", {})])[0] is BETTER


def test_pixels_that_a_model_says_nothing_of_are_said() -> None:
    few = replace(BETTER, model="holes", pixels=torch.full((6,), 6))
    assert differing([BETTER, few]) == ["holes says nothing of 40 % of the pixels that others are measured on: they "
                                        "may be the hard ones."]
    assert differing([BETTER, few])[0] in verdict([few, BETTER])


def test_the_table_of_several_sets_ranks_on_the_same_images() -> None:
    groups = [("A", [EASY_ALONE, BETTER]), ("B", [result("easy", dict.fromkeys(range(6), 0.6)), BETTER])]
    columns, rows = set_rows(groups)
    assert columns[1] == "A AbsRel" and [row[1] for row in rows] == ["0.053", "0.023*"]
    assert rank_note(groups).endswith("A: Models were measured on different images (easy 3, better 6): this is of the "
                                      "3 images that all models have")
    told = verdict_of_sets(groups)
    assert told[0] == "better is first on 2 of 2 sets by abs_rel (A, B)."
    assert any(one.startswith("A: Models were measured on different") for one in told)


def test_one_image_tells_nothing_of_how_sure_a_lead_is() -> None:
    groups: Sequence[Any] = [("A", [result("easy", {0: 0.1}), result("better", {0: 0.2})]), ("B", [EASY_ALONE, BETTER])]
    assert "On A one image tells nothing of how sure the lead is." in verdict_of_sets(groups)


class Half(nn.Module):
    """A model that says nothing of the upper half of images, and the truth below."""

    depth_kind = DepthKind.METRIC

    def __init__(self, off: float = 1.0) -> None:
        super().__init__()
        self.off = off

    def from_batch(self, batch: Any) -> Prediction:
        said = torch.ones_like(batch.valid)
        said[..., : said.shape[-2] // 2, :] = False
        return Prediction(depth=torch.where(said, self.off * batch.depth, 0.0), kind=self.depth_kind, valid=said)


def test_nothing_is_drawn_where_a_model_says_nothing(tmp_path: Path) -> None:
    models = {"half": Half(1.5)}
    source = load_source("sim:rooms,count=2,size=24x32")
    shown = examine(models, source, [0])[0]
    measured: Tensor = shown.measured("half")
    assert not measured[:12].any() and measured[12:].equal(shown.valid[12:])
    results = list(evaluate(models, source).values())
    section = worst_section(results, models, source, 1, None)
    gallery = section.blocks[-2]
    depth, error = (gallery.pictures[i].image for i in (1, 3))  # type: ignore[union-attr]
    for drawn in (depth, error):
        empty = drawn[:, :12].flatten(1)
        assert (empty == empty[:, :1]).all()  # one colour: that of nothing
        assert not (drawn[:, 12:24] == empty[:, :1, None]).all(0).any()


@pytest.mark.parametrize("sets", [1, 2])
def test_what_casts_doubt_stands_beside_the_verdict(tmp_path: Path, sets: int) -> None:
    (tmp_path / "out").mkdir()
    for i in range(3):
        depth = 1 + torch.rand(24, 32, generator=torch.Generator().manual_seed(i))
        for folder in ("rgb", "depth"):
            (tmp_path / folder).mkdir(exist_ok=True)
        write_image(tmp_path / "rgb" / f"{i}.png", torch.rand(3, 24, 32))
        write_depth_npy(tmp_path / "depth" / f"{i}.npy", depth)
        Image.fromarray((1000 * depth.numpy()).astype(np.uint16)).save(tmp_path / "out" / f"{i}.png")
    source = load_source(f"folder:{tmp_path}/rgb,depths={tmp_path}/depth")
    models = {f"predictions:{tmp_path}/out,scale=100": load(f"predictions:{tmp_path}/out,scale=100", "cpu")}
    found = [
        SetResults(set=EvalSet(name=name, spec=name, source=source, protocol="plain"),
                   results=list(evaluate(models, source, spec=name).values()))
        for name in ("A", "B")[:sets]
    ]  # fmt: skip
    write_sets(tmp_path / "r.html", found, dict.fromkeys(("A", "B"), models), worst=0)
    text = (tmp_path / "r.html").read_text()
    assert text.index("Verdict</h2>") < text.index("Warning: ") < text.index("All metrics</summary>")
    assert "10.0 times the truth" in text and "scale=1000" in text
    assert "10.0 times" in found[0].results[0].document()["warnings"][0]
