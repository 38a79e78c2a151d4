"""Depth on attacked images: the ball, the closed form of a linear model, who cannot be attacked, what is told."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from evals_doubles import Answers, ListSource, Oracle, sample
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.evals import evaluate
from kdcli.evals.baseline import Constant
from kdcli.evals.metrics import NAMES
from kdcli.evals.perturb import ATTACKS, Perturbed, parse_epsilon, worse_images
from kdcli.evals.reference import Reference
from kdcli.evals.results import documents
from kdcli.exporters.loaded import ExportedModel
from kdcli.report.evaluation import write_evaluation
from kdcli.report.tables import perturbed_rows
from kdcli.types import DepthKind, Prediction

EPS = 2 / 255


def bright(image: Tensor) -> Tensor:
    """Return a depth whose logarithm is linear in the image, within the protocol's range."""
    return (1 + image.mean(dim=1, keepdim=True)).exp()


def images(count: int = 3) -> ListSource:
    """Return images of 0.3 to 0.7, far from black and white, and truth that lies beyond what is said of them."""
    made = [sample(f"{i}", seed=i) for i in range(count)]
    return ListSource([
        sample(one.id, image=0.3 + 0.4 * one.image, depth=torch.full((1, 12, 16), 20.0)) for one in made
    ])


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_linear_model_is_as_wrong_as_it_can_be(attack: str) -> None:
    """log depth = 1 + mean colour, too small everywhere: the worst image is darker by EPS everywhere."""
    result = evaluate({"net": Answers(bright)}, images(), perturb=EPS)["net"]
    assert result.perturbed is not None
    values = result.perturbed.values[attack]
    clean = result.values[:, NAMES.index("log10")] * math.log(10)
    assert torch.allclose(values[:, NAMES.index("log10")] * math.log(10), clean + EPS, atol=1e-5)
    assert result.perturbed.metrics[attack]["log10"] > result.metrics["log10"]


def test_the_clean_numbers_are_those_without_an_attack() -> None:
    plain = evaluate({"net": Answers(bright)}, images())["net"]
    attacked = evaluate({"net": Answers(bright)}, images(), perturb=EPS)["net"]
    assert torch.equal(plain.values, attacked.values) and plain.perturbed is None
    assert plain.ids == attacked.ids


def error_of(target: Tensor) -> object:
    return lambda image: (image.square().mean(dim=1, keepdim=True) - target).abs().mean(dim=(1, 2, 3))


def test_attacks_stay_in_the_ball_and_among_colours() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(4, 3, 8, 8, generator=generator).round(decimals=1)  # many at 0 and 1
    error = error_of(torch.rand(4, 1, 8, 8, generator=generator))
    before = error(image)  # type: ignore[operator]
    made = worse_images(error, image, 0.05)  # type: ignore[arg-type]
    assert set(made) == set(ATTACKS)
    for worse in made.values():
        assert worse.min() >= 0 and worse.max() <= 1
        assert ((worse - image).abs() <= 0.05 + 1e-6).all()
        assert (error(worse) >= before).all() and (error(worse) > before).any()  # type: ignore[operator]


def test_pgd_never_ends_below_where_it_began() -> None:
    """A steep error whose gradient leads past its own top: the steps overshoot, the best point counts."""

    def error(image: Tensor) -> Tensor:
        return -(image - 0.5).abs().mean(dim=(1, 2, 3))

    image = torch.full((2, 3, 4, 4), 0.501)
    made = worse_images(error, image, 0.1)
    assert (error(made["fgsm"]) < error(image)).all()
    assert (error(made["pgd"]) >= error(image)).all()


def test_an_image_is_attacked_alone() -> None:
    whole = evaluate({"net": Answers(bright)}, images(), perturb=EPS, batch_size=3)["net"]
    single = evaluate({"net": Answers(bright)}, images(), perturb=EPS, batch_size=1)["net"]
    assert whole.perturbed is not None and single.perturbed is not None
    for attack in ATTACKS:
        assert torch.allclose(whole.perturbed.values[attack], single.perturbed.values[attack], atol=1e-7)


def test_each_model_meets_its_own_worst_images_and_stays_as_it_is() -> None:
    weight = torch.nn.Parameter(torch.tensor(1.0))
    far = Answers(lambda image: (4 - weight * image.mean(dim=1, keepdim=True)).exp())
    far.weight = weight
    results = evaluate({"near": Answers(bright), "far": far}, images(), perturb=EPS)
    for result in results.values():  # one errs more in the dark, the other too; both by the whole of EPS
        assert result.perturbed is not None
        gain = result.perturbed.metrics["pgd"]["log10"] - result.metrics["log10"]
        assert gain == pytest.approx(EPS / math.log(10), rel=1e-3)
    assert weight.grad is None and weight.item() == 1 and weight.requires_grad


def test_a_scale_that_is_not_known_is_aligned_away() -> None:
    """A factor on the whole image changes nothing after the median is fitted: only differences can be attacked."""
    flat = Answers(lambda image: (1 + image.mean(dim=(1, 2, 3), keepdim=True)).exp().expand(-1, 1, 12, 16),
                   DepthKind.SCALE_INVARIANT)
    result = evaluate({"net": flat}, images(), perturb=0.05)["net"]
    assert result.perturbed is not None
    assert result.perturbed.metrics["pgd"]["abs_rel"] == pytest.approx(result.metrics["abs_rel"], abs=1e-5)


def test_against_a_teacher_what_it_says_of_the_image_as_it_is_stays_the_truth() -> None:
    class Whole(torch.nn.Module):
        depth_kind, depth_range = DepthKind.METRIC, (0.5, 30.0)

        def forward(self, image: Tensor) -> Prediction:
            return Prediction(depth=(2 + image.mean(dim=1, keepdim=True)).exp(), kind=self.depth_kind)

    teacher = Whole()
    result = evaluate({"net": teacher}, images(), "fidelity", perturb=EPS, against=Reference(model=teacher, name="t"))
    assert result["net"].metrics["abs_rel"] == pytest.approx(0, abs=1e-6)
    found = result["net"].perturbed
    assert found is not None and found.metrics["pgd"]["abs_rel"] <= math.expm1(EPS) + 1e-4


class Deaf(torch.nn.Module):
    """A network that answers without gradient."""

    depth_kind, depth_range = DepthKind.METRIC, (0.5, 9.0)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=bright(image), kind=self.depth_kind)


@pytest.mark.parametrize("model", [Deaf(), Oracle(lambda depth: depth), Constant()], ids=["deaf", "oracle", "constant"])
def test_models_without_a_gradient_are_refused(model: torch.nn.Module) -> None:
    with pytest.raises(ConfigError, match="model 'net' gives no gradient to its image"):
        evaluate({"net": model}, images(), perturb=EPS)


def test_exported_files_say_so() -> None:
    assert ExportedModel.differentiable is False


def test_a_model_that_says_so_is_refused_before_an_image_is_read() -> None:
    model, source = Answers(bright), images()
    model.differentiable = False  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="no gradient"):
        evaluate({"net": model}, source, perturb=EPS)
    assert source.reads == 0


@pytest.mark.parametrize(("text", "value"), [("2/255", 2 / 255), ("0.01", 0.01), ("1e-3", 1e-3), ("1", 1.0)])
def test_a_ball_is_a_number_or_a_fraction(text: str, value: float) -> None:
    assert parse_epsilon(text) == value


@pytest.mark.parametrize("text", ["", "0", "-1/255", "2", "1/0", "2/255/3", "much", "nan", "inf"])
def test_what_is_no_ball_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--perturb"):
        parse_epsilon(text)
    with pytest.raises(ConfigError, match="--perturb"):
        evaluate({"net": Answers(bright)}, images(), perturb=0.0)


def test_images_whose_attacked_depth_is_not_finite_are_counted_apart() -> None:
    values = {attack: torch.full((3, len(NAMES)), 0.5, dtype=torch.float64) for attack in ATTACKS}
    values["pgd"][1, 2] = math.inf
    made = Perturbed(epsilon=EPS, values=values, pixels=torch.tensor([4, 4, 4]))
    assert (made.n, made.broken) == (2, 1)
    assert made.document()["not_finite"] == 1 and made.metrics["pgd"]["rmse"] == 0.5


def test_table_document_and_report_tell_both_models(tmp_path: Path) -> None:
    models = {"one": Answers(bright), "two": Answers(lambda image: 2 * bright(image))}
    results = list(evaluate(models, images(), perturb=EPS).values())
    columns, rows = perturbed_rows(results)
    assert columns[2:5] == ["one", "one fgsm 0.00784", "one pgd 0.00784"] and len(columns) == 8
    assert [row[0].split()[0] for row in rows] == list(NAMES)
    told = json.loads(json.dumps(documents(results)))
    for document in told:
        found = document["perturbed"]
        assert found["epsilon"] == EPS and found["pgd_steps"] == 10 and found["pgd_step"] == pytest.approx(EPS / 5)
        assert found["pgd"]["metrics"]["abs_rel"] > document["metrics"]["abs_rel"]
        assert set(found["fgsm"]["ci95"]) == set(NAMES)
    write_evaluation(tmp_path / "report.html", results, models, images())
    assert "Perturbed images" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert perturbed_rows(list(evaluate(models, images()).values()))[1] == []
