"""Each model is shown the size that it was made for, on the same ground truth as the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from evals_doubles import Answers, ListSource, sample
from torch import Tensor, nn

import kdcli
from kdcli.evals import compare, evaluate, examine
from kdcli.evals.results import documents
from kdcli.report.evaluation import write_evaluation
from kdcli.report.tables import condition_rows
from kdcli.sources import load_source
from kdcli.types import DepthKind, MadeFor, Sample


def brightness(image: Tensor) -> Tensor:
    return 1 + 8 * image.mean(1, keepdim=True)


def made(size: tuple[int, int] | None, **facts: Any) -> Answers:
    model = Answers(brightness)
    model.made_for = MadeFor(train_size=size, eval_size=size, **facts)  # type: ignore[assignment]
    return model


def mixed() -> ListSource:
    return ListSource([sample("a", (12, 16), 1), sample("b", (18, 14), 2), sample("c", (12, 16), 3)])


class OfFiles:
    """Scenes of a simulator as a source of pictures, which have a size of their own."""

    name, depth_kind = "files", DepthKind.METRIC

    def __init__(self, spec: str) -> None:
        self.inner = load_source(spec)

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Sample:
        return self.inner[index]


def test_a_student_is_measured_at_the_size_of_its_training() -> None:
    """A network of 64 x 96 fell, without a word, where it was shown photographs as large as they came."""
    demo = kdcli.load_model("teacher:demo")
    photographs: Any = OfFiles("sim:rooms,count=4,seed=77,size=256x384")
    by_default = evaluate({"demo": demo}, photographs)["demo"]
    at_trained = evaluate({"demo": demo}, photographs, size=(64, 96))["demo"]
    native = evaluate({"demo": demo}, photographs, size="native")["demo"]
    assert torch.equal(by_default.values, at_trained.values)
    assert by_default.metrics["delta1"] > 0.85 > native.metrics["delta1"] + 0.2
    assert by_default.document()["size"] == [64, 96] and native.document()["size"] is None
    assert by_default.notes == ("{}: seen at 64x96, as it was trained; --size native for the image's own size",)
    assert native.notes[0].startswith("warning: {} sees images at 256x384") and at_trained.notes == ()


def test_models_of_several_sizes_are_compared_on_the_same_pixels() -> None:
    models: dict[str, nn.Module] = {"small": made((6, 8)), "large": made((24, 32)), "none": Answers(brightness)}
    together = evaluate(models, mixed(), batch_size=2)
    for name, size in (("small", (6, 8)), ("large", (24, 32)), ("none", "native")):
        alone = evaluate({name: models[name]}, mixed(), size=size)[name]  # type: ignore[arg-type]
        assert torch.equal(together[name].values, alone.values) and torch.equal(together[name].pixels, alone.pixels)
    assert {shape[-2:] for shape in models["large"].sizes} == {(24, 32)}  # type: ignore[union-attr]
    assert compare(together["small"], together["large"]).n == 3
    assert compare(together["small"], together["large"]).same_protocol
    told = documents(list(together.values()))
    assert [one["size"] for one in told] == [[6, 8], [24, 32], None]  # type: ignore[index]
    columns, rows = condition_rows(list(together.values()))
    assert [row[columns.index("seen at")] for row in rows] == ["6x8", "24x32", "as they are"]


def test_focal_lengths_are_those_of_the_image_as_it_is_seen() -> None:
    from kdcli.types import ReadOut

    model = made((6, 8))
    model.read_out = ReadOut(focal=10.0)  # type: ignore[assignment]
    truth = sample("a", (12, 16), 1, intrinsics=torch.tensor([40.0, 40.0, 8.0, 6.0]))
    seen = evaluate({"m": model}, ListSource([truth]))["m"]
    assert torch.equal(seen.values, evaluate({"m": model}, ListSource([truth]), size=(6, 8))["m"].values)
    assert not torch.equal(seen.values, evaluate({"m": model}, ListSource([truth]), size="native")["m"].values)


def test_an_aspect_ratio_that_is_kept_gives_several_sizes(tmp_path: Path) -> None:
    model = made((64, 64), fit="within")
    source = ListSource([sample("a", (48, 96), 1), sample("b", (96, 48), 2)])
    result = evaluate({"m": model}, source)["m"]
    assert {shape[-2:] for shape in model.sizes} == {(32, 64), (64, 32)}
    assert result.document()["size"] is None and result.document()["sizes"] == [[32, 64], [64, 32]]
    shown = examine({"m": model}, source, [1])[0]
    assert shown.image.shape == (3, 96, 48) and shown.predictions["m"].shape == (96, 48)
    write_evaluation(tmp_path / "report.html", [result], {"m": model}, source)
    assert "32x64, 64x32" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(("second", "pixels"), [((32, 48), 32 * 48), ((16, 24), 96 * 128), (None, 96 * 128)])
def test_a_source_that_renders_does_so_at_the_size_of_all_models(second: tuple[int, int] | None, pixels: int) -> None:
    models: dict[str, nn.Module] = {"one": made((32, 48)), "two": made(second)}
    found = evaluate(models, load_source("sim:rooms,count=2,seed=5"))
    assert [int(found[name].pixels[0]) for name in models] == [pixels, pixels]
    if second == (32, 48):
        asked = evaluate(models, load_source("sim:rooms,count=2,seed=5"), size=(32, 48))
        assert torch.equal(found["one"].values, asked["one"].values)
