"""What files hold of a prediction, and what is said where they cannot hold all of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from kdcli import models
from kdcli.cli import predict as commands
from kdcli.errors import DataError
from kdcli.images import read_depth
from kdcli.predict import predict
from kdcli.predict.holding import from_zero, positive, spread
from kdcli.types import DepthKind, Prediction

NAN, INF = math.nan, math.inf


class _Says(nn.Module):
    """A model that says the same row of numbers of every picture, once for each column."""

    taps: ClassVar[dict[str, object]] = {}

    def __init__(self, row: list[float], kind: DepthKind = DepthKind.METRIC, furthest: float = 80.0) -> None:
        super().__init__()
        self.row, self.depth_kind, self.depth_range = torch.tensor(row), kind, (0.0, furthest)
        self.std: Tensor | None = None
        self.opinion: Tensor | None = None

    def forward(self, image: Tensor) -> Prediction:
        depth = self.row.expand(len(image), 1, *image.shape[-2:]).clone()
        std = None if self.std is None else self.std.expand_as(depth)
        valid = None if self.opinion is None else self.opinion.expand_as(depth)
        return replace(Prediction(depth=depth, kind=self.depth_kind, valid=valid), std=std)


def picture(root: Path, width: int, name: str = "a.png", **more: Any) -> Path:
    Image.fromarray(np.full((2, width, 3), 90, np.uint8)).save(root / name, **more)
    return root / name


def said(root: Path, model: _Says, **more: Any) -> dict[str, Any]:
    predict(model, [picture(root, len(model.row))], root / "out", cmap=None, **more)
    document: dict[str, Any] = json.loads((root / "out/a.json").read_text())
    return document


def stored(root: Path, name: str = "a.depth.png") -> list[int]:
    with Image.open(root / "out" / name) as image:
        row: list[int] = np.asarray(image)[0].astype(int).tolist()
    return row


@pytest.mark.parametrize("kind", list(DepthKind))
@pytest.mark.parametrize("number", [NAN, INF, -INF])
def test_no_finite_number_is_no_prediction(tmp_path: Path, kind: DepthKind, number: float) -> None:
    with pytest.raises(DataError, match=r"'a': the prediction is not finite at any of 6 pixels; nothing is written"):
        said(tmp_path, _Says([number] * 3, kind))
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("kind", list(DepthKind))
@pytest.mark.parametrize("format", ["png16", "npy", "both"])
def test_pixels_that_are_not_finite_are_counted(tmp_path: Path, kind: DepthKind, format: str) -> None:
    facts = said(tmp_path, _Says([1.0, NAN, 3.0, INF], kind), format=format)
    assert facts["not_finite"] == 4 and facts["saturated"] == 0
    assert facts["minimum"] == pytest.approx(1, abs=1e-3) and facts["maximum"] == pytest.approx(3, abs=1e-3)
    if format != "npy":
        assert [number == 0 for number in stored(tmp_path)] == [False, True, False, True]
    if format != "png16":
        assert np.isfinite(np.load(tmp_path / "out/a.depth.npy")[0]).tolist() == [True, False, True, False]


def test_what_the_model_has_no_opinion_of_is_not_broken(tmp_path: Path) -> None:
    model = _Says([1.0, NAN])
    model.opinion = torch.tensor([True, False])
    assert said(tmp_path, model)["not_finite"] == 0 and stored(tmp_path) == [256, 0]
    model.opinion = torch.tensor([False, False])
    facts = said(tmp_path, model)
    assert facts["minimum"] is None and facts["maximum"] is None and stored(tmp_path) == [0, 0]


@pytest.mark.parametrize(("furthest", "step"), [(10.0, 1 / 1000), (80.0, 1 / 256), (1000.0, 1 / 65), (INF, 1 / 256)])
def test_depth_beyond_the_last_step_is_told(tmp_path: Path, furthest: float, step: float) -> None:
    facts = said(tmp_path, _Says([1.0, 1e5, 2e30], furthest=furthest))
    top = stored(tmp_path)[1] * facts["step"]
    assert stored(tmp_path)[1:] == [65534, 65534] and facts["step"] == pytest.approx(step)
    assert facts["maximum"] == pytest.approx(top) and facts["saturated"] == 4
    assert facts["predicted"] == pytest.approx([1.0, 2e30])
    assert read_depth(tmp_path / "out/a.depth.png")[0][0, 0, 1] == pytest.approx(top)


def test_npy_alone_holds_what_png_cannot(tmp_path: Path) -> None:
    facts = said(tmp_path, _Says([-1.0, 1.0, 1e5]), format="npy")
    assert (facts["minimum"], facts["maximum"], facts["saturated"], facts["not_positive"]) == (-1, 1e5, 0, 0)


def test_depth_at_or_below_0_is_told(tmp_path: Path) -> None:
    facts = said(tmp_path, _Says([-1.0, 0.0, 2.0]))
    assert stored(tmp_path) == [0, 0, 512]
    assert (facts["not_positive"], facts["minimum"], facts["predicted"]) == (4, 2, [-1, 2])
    with pytest.raises(DataError, match="at or below 0 m at every pixel, at most -1"):
        said(tmp_path, _Says([-2.0, -1.0]))


def test_uncertainty_saturates_and_says_so(tmp_path: Path) -> None:
    model = _Says([1.0, 2.0, 3.0, 4.0])
    model.std = torch.tensor([0.0, 0.5, 1e4, NAN])
    facts = said(tmp_path, model, uncertainty=True, format="both")["uncertainty"]["std"]
    assert stored(tmp_path, "a.std.png") == [1, 129, 65534, 0]
    assert facts["maximum"] == pytest.approx(65534 * facts["step"] + facts["offset"])
    assert (facts["saturated"], facts["not_finite"], facts["predicted"]) == (2, 2, [0, 1e4])
    assert np.load(tmp_path / "out/a.std.npy")[0, 2] == 1e4


def test_one_frame_without_numbers_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdcli.predict import run
    from kdcli.predict.inputs import Frame

    def clip(item: object) -> list[Frame]:
        return [
            Frame(image=torch.full((3, 2, 2), level), name=f"v/{i}", path=tmp_path / "v.mp4", clip="v")
            for i, level in enumerate((0.1, NAN, 0.3))
        ]

    class Bright(_Says):
        def forward(self, image: Tensor) -> Prediction:
            return Prediction(depth=image.mean(1, keepdim=True), kind=self.depth_kind)

    monkeypatch.setattr(run, "frames", clip)
    done, skipped = predict(Bright([]), [picture(tmp_path, 2)], tmp_path / "out", cmap=None)
    assert [one.name for one in done] == ["v/0", "v/2"]
    assert len(skipped) == 1 and skipped[0].reason.startswith("'v/1': the prediction is not finite")


def test_a_turned_photograph_says_so_in_the_sidecar(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    model = _Says([1.0, 2.0])
    predict(model, [picture(tmp_path, 2, exif=exif)], tmp_path / "out", cmap=None)
    assert json.loads((tmp_path / "out/a.json").read_text())["turned"] == 6


def test_the_command_names_what_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_model", lambda text, device: _Says([1.0, 1e5, NAN]))
    app = typer.Typer()
    commands.register(app)
    for i in range(7):
        picture(tmp_path, 3, f"{i}.png")
    given = ["m", *(str(tmp_path / f"{i}.png") for i in range(7)), "--out", str(tmp_path / "out"), "--device", "cpu"]
    told = CliRunner().invoke(app, [*given, "--cmap", "none"])
    assert told.exit_code == 0
    assert "warning: '0': depth: 2 pixels not finite, 2 pixels saturated at 255.99 m" in told.stderr
    assert told.stderr.count("warning") == 6 and "2 more pictures hold less" in told.stderr
    told = CliRunner().invoke(app, [*given, "--json", "--quiet"])
    assert told.stderr == "" and json.loads(told.stdout)["predicted"][6]["saturated"] == 2


def test_units_are_whole_and_come_back() -> None:
    values, valid = torch.tensor([[0.0004, 1.5, 70.0, 9.0]]), torch.tensor([[True, True, True, False]])
    held = positive(values, valid, 1e-3)
    assert held.units.tolist() == [[1, 1500, 65534, 0]] and (held.minimum, held.saturated) == (1e-3, 1)
    held = from_zero(values, valid, None)
    assert torch.allclose((held.units * held.step + held.offset)[valid], values[valid].double(), atol=held.step)
    held = spread(values - 5, valid)
    assert torch.allclose((held.units * held.step + held.offset)[valid], (values - 5)[valid].double(), atol=held.step)
    nothing = spread(values, torch.zeros_like(valid))
    assert nothing.minimum is None and not nothing.units.any()
