"""An evaluation says nothing where nothing was measured."""

from __future__ import annotations

import json

import pytest
import torch
import typer
from evals_doubles import Answers, ListSource, Oracle, sample
from torch import Tensor, nn
from typer.testing import CliRunner

from kdcli import sources
from kdcli.cli import evaluate as commands
from kdcli.errors import DataError
from kdcli.evals import baseline, evaluate
from kdcli.evals.baseline import Constant
from kdcli.evals.results import require_measured
from kdcli.types import DepthKind, Sample


def brightness(image: Tensor) -> Tensor:
    return 1 + 8 * image.mean(1, keepdim=True)


def broken(image: Tensor) -> Tensor:
    return brightness(image) * torch.nan


def few(count: int, size: tuple[int, int] = (12, 16)) -> Sample:
    """Return a sample with ``count`` pixels of ground truth."""
    valid = torch.zeros(1, *size, dtype=torch.bool)
    valid.view(-1)[:: max(1, valid.numel() // max(1, count))][:count] = True
    assert valid.sum() == count
    return sample(f"{count} pixels", size, seed=count, valid=valid)


def test_a_model_without_a_measured_image_is_refused_by_name() -> None:
    source = ListSource([sample("a"), sample("b", seed=1)])
    found = evaluate({"fine": Answers(brightness), "broken": Answers(broken)}, source)
    require_measured([found["fine"]])
    said = "none of the 2 images could be measured of model 'broken'; 'a': the prediction is not finite at 192 of 192"
    with pytest.raises(DataError, match=said):
        require_measured(found.values())
    with pytest.raises(DataError, match=r"'broken' \(nor of 1 more models\)"):
        require_measured([found["broken"], found["fine"], found["broken"]])


@pytest.mark.parametrize(
    ("kind", "mode", "unknowns"),
    [(DepthKind.METRIC, "none", 0), (DepthKind.METRIC, "median", 1), (DepthKind.METRIC, "scale-shift", 2),
     (DepthKind.AFFINE_DISPARITY, "scale-shift", 2), (DepthKind.AFFINE_DEPTH, "scale-shift", 2),
     (DepthKind.SCALE_INVARIANT, "median", 1)],
)  # fmt: skip
def test_an_alignment_needs_more_pixels_than_it_has_unknowns(kind: DepthKind, mode: str, unknowns: int) -> None:
    source = ListSource([few(count) for count in range(5)])
    result = evaluate({"m": Answers(brightness, kind)}, source, align=mode)["m"]
    assert result.ids == tuple(f"{count} pixels" for count in range(max(1, unknowns + 1), 5))
    reasons = {skipped.id: skipped.reason for skipped in result.skipped}
    assert reasons.pop("0 pixels") == "no valid pixel under the protocol"
    assert list(reasons.values()) == [
        f"alignment '{mode}' fits {unknowns} numbers to {count} pixels, which leaves nothing to measure"
        for count in range(1, unknowns + 1)
    ]


def test_no_error_of_0_comes_from_too_few_pixels() -> None:
    result = evaluate({"m": Answers(brightness)}, ListSource([few(2), few(3)]), align="scale-shift")["m"]
    assert result.ids == ("3 pixels",) and result.metrics["rmse"] > 1e-3


def test_the_constant_takes_one_number_from_the_truth() -> None:
    result = evaluate({"constant": Constant()}, ListSource([few(1), few(2)]))["constant"]
    assert result.ids == ("2 pixels",) and "model 'constant' fits 1 numbers to 1 pixels" in result.skipped[0].reason


def test_one_answer_only_for_all_images_is_an_error() -> None:
    found = evaluate({"m": Oracle(lambda depth: depth, DepthKind.AFFINE_DEPTH)}, ListSource([few(1), few(2)]))
    with pytest.raises(DataError, match=r"'1 pixels': alignment 'scale-shift' fits 2 numbers to 1 pixels"):
        require_measured(found.values())


def test_the_command_ends_with_4_and_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    networks: dict[str, nn.Module] = {"fine": Answers(brightness), "broken": Answers(broken)}
    monkeypatch.setattr(baseline, "load", lambda text, device: networks[text])
    monkeypatch.setattr(sources, "load_source", lambda spec: ListSource([sample("a"), sample("b", seed=1)]))
    app = typer.Typer()
    commands.register(app)
    told = CliRunner().invoke(app, ["broken", "fine", "--data", "x", "--json", "--device", "cpu"])
    assert isinstance(told.exception, DataError) and told.exception.exit_code == 4
    assert "model 'broken'" in str(told.exception)
    one, two = json.loads(told.stdout, parse_constant=lambda token: pytest.fail(f"{token} in JSON"))
    assert one["n"] == 0 and one["metrics"]["rmse"] is None and two["n"] == 2 and two["metrics"]["rmse"] > 0
    told = CliRunner().invoke(app, ["fine", "--data", "x", "--device", "cpu"])
    assert told.exit_code == 0
