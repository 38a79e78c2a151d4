"""Models held against a teacher in the place of ground truth."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from evals_doubles import ListSource
from torch import Tensor, nn

from kdcli.errors import ConfigError, DataError
from kdcli.evals import compare, evaluate, examine
from kdcli.evals.baseline import Constant
from kdcli.evals.protocol import find
from kdcli.evals.reference import Reference, as_known, kind_against
from kdcli.evals.results import write_csv
from kdcli.evals.written import read_per_image
from kdcli.maps import masked_quantile
from kdcli.report.evaluation import write_evaluation
from kdcli.teachers.ground_truth import GroundTruth
from kdcli.types import DepthKind, MadeFor, Prediction, ReadOut, Sample

METRIC, SCALE = DepthKind.METRIC, DepthKind.SCALE_INVARIANT
DEPTH, DISPARITY = DepthKind.AFFINE_DEPTH, DepthKind.AFFINE_DISPARITY


def true_depth(image: Tensor) -> Tensor:
    """Return 1 to 9 units, by the brightness of a pixel."""
    return 1 + 8 * image.mean(1, keepdim=True)


class Says(nn.Module):
    """A model whose numbers are a function of that depth."""

    def __init__(
        self, kind: DepthKind, function: Callable[[Tensor], Tensor] = lambda d: d,
        known: Callable[[Tensor], Tensor] | None = None, depth_range: tuple[float, float] = (1e-3, 100.0),
    ) -> None:
        super().__init__()
        self.depth_kind, self.depth_range, self._function, self._known = kind, depth_range, function, known
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, image: Tensor) -> Prediction:
        self.sizes.append(tuple(image.shape[-2:]))
        depth = true_depth(image)
        valid = None if self._known is None else self._known(depth)
        return Prediction(depth=self._function(depth), kind=self.depth_kind, valid=valid)


def photographs(count: int = 4, size: tuple[int, int] = (12, 16)) -> ListSource:
    generator = torch.Generator().manual_seed(3)
    samples = [Sample(id=f"photo {i}", image=torch.rand(3, *size, generator=generator)) for i in range(count)]
    return ListSource(samples, depth_kind=None)


def faithful(teacher: nn.Module, source: ListSource | None = None, **models: nn.Module) -> dict[str, dict[str, float]]:
    against = Reference(model=teacher, name="teacher")
    found = evaluate(models, source or photographs(), "fidelity", against=against)
    return {name: dict(result.metrics) for name, result in found.items()}


RIGHT = [
    # The same teacher said with another scale and offset wherever its kind leaves these open.
    (METRIC, lambda d: d, METRIC, lambda d: d),
    (SCALE, lambda d: 3 * d, SCALE, lambda d: 0.2 * d),
    (SCALE, lambda d: 3 * d, METRIC, lambda d: d),
    (DEPTH, lambda d: 7 * d - 30, DEPTH, lambda d: 0.1 * d + 5),
    (DEPTH, lambda d: 7 * d - 30, METRIC, lambda d: d),
    (DEPTH, lambda d: 7 * d - 30, SCALE, lambda d: 9 * d),
    (DISPARITY, lambda d: 40 / d - 6, DISPARITY, lambda d: 1 / d + 2),
    (DISPARITY, lambda d: 40 / d - 6, METRIC, lambda d: d),
    (DISPARITY, lambda d: 40 / d - 6, SCALE, lambda d: 5 * d),
    (METRIC, lambda d: d, DISPARITY, lambda d: 8 / d - 3),
    (METRIC, lambda d: d, DEPTH, lambda d: 2 * d + 1),
    (SCALE, lambda d: 2 * d, DISPARITY, lambda d: 8 / d - 3),
]


def named(value: object) -> str:
    return str(value) if isinstance(value, DepthKind) else ""


@pytest.mark.parametrize(("kind", "says", "own", "student"), RIGHT, ids=named)
def test_who_says_what_the_teacher_says_is_faithful(
    kind: DepthKind, says: Callable[[Tensor], Tensor], own: DepthKind, student: Callable[[Tensor], Tensor]
) -> None:
    wrong = Says(own, lambda d: student(d.flip(-1)))
    found = faithful(Says(kind, says), student=Says(own, student), wrong=wrong)
    assert found["student"]["delta1"] == 1 and found["student"]["abs_rel"] < 1e-5
    assert found["student"]["rmse"] < 1e-4 and found["student"]["silog"] < 1e-2
    assert found["wrong"]["delta1"] < 0.8 and found["wrong"]["abs_rel"] > 0.1


def test_a_student_off_by_a_factor_is_not_faithful_to_metres() -> None:
    found = faithful(Says(METRIC), student=Says(METRIC, lambda d: 1.3 * d))["student"]
    assert found["delta1"] == 0 and found["abs_rel"] == pytest.approx(0.3, rel=1e-5)
    assert faithful(Says(SCALE), student=Says(METRIC, lambda d: 1.3 * d))["student"]["abs_rel"] < 1e-6


def test_fidelity_is_told_by_protocol_hash_and_teacher() -> None:
    against = Reference(model=Says(METRIC), name="teacher:x")
    result = evaluate({"s": Says(METRIC)}, photographs(), "fidelity", against=against)["s"]
    told = result.document()
    assert told["protocol"]["name"] == "fidelity" and told["against"] == "teacher:x" and told["n"] == 4
    like = find("plain").modified("none")
    assert find("fidelity").hash != like.hash and find("fidelity").truth == "teacher"
    plain = evaluate({"s": Says(METRIC)}, labelled(photographs()), "plain")["s"].document()
    assert "against" not in plain and plain["protocol"] != told["protocol"]
    affine = evaluate({"s": Says(DISPARITY)}, photographs(), "fidelity", against=Reference(
        model=Says(DISPARITY), name="y"))["s"].protocol
    assert affine.name == "fidelity+scale-shift" and (affine.min_depth, affine.max_depth) == (0.5, 20.0)


def labelled(source: ListSource) -> ListSource:
    """Return the photographs with depth that no teacher here says: far too large."""
    made = [
        Sample(id=s.id, image=s.image, depth=5 * true_depth(s.image[None])[0], valid=torch.ones(1, 12, 16).bool())
        for s in source.samples
    ]
    return ListSource(made)


def test_depth_of_the_source_is_not_looked_at() -> None:
    found = faithful(Says(METRIC), labelled(photographs()), student=Says(METRIC), constant=Constant())
    assert found["student"]["abs_rel"] < 1e-6 and found["constant"]["abs_rel"] < 0.5


def test_pixels_without_an_opinion_or_out_of_range_do_not_count() -> None:
    against = Reference(model=Says(METRIC, known=lambda d: d < 4), name="t")
    student = Says(METRIC, lambda d: torch.where(d < 4.5, d, 100.0))
    result = evaluate({"s": student}, photographs(), "fidelity", against=against)["s"]
    whole = 4 * 12 * 16
    assert result.metrics["delta1"] == 1 and 0 < int(result.pixels.sum()) < whole
    bounded = Reference(model=Says(METRIC, depth_range=(2.0, 4.0)), name="t")
    result = evaluate({"s": student}, photographs(), "fidelity", against=bounded)["s"]
    assert result.metrics["delta1"] == 1 and 0 < int(result.pixels.sum()) < whole


def test_an_outlier_moves_little(size: tuple[int, int] = (30, 40)) -> None:
    """One mad pixel of a teacher of unknown offset neither counts nor squeezes the others together."""
    source = photographs(3, size)

    def mad(d: Tensor) -> Tensor:
        out = 1 / d
        out[..., 0, 0] = 1e4
        return out

    student = Says(DISPARITY, lambda d: 1 / d + 0.05 * torch.sin(40 * d))
    clean = faithful(Says(DISPARITY, lambda d: 1 / d), source, student=student)["student"]
    dirty = faithful(Says(DISPARITY, mad), source, student=student)["student"]
    assert dirty["abs_rel"] == pytest.approx(clean["abs_rel"], rel=0.05) and clean["abs_rel"] > 0.02


def test_images_without_a_word_of_the_teacher_are_named() -> None:
    flat = Says(DISPARITY, lambda d: torch.full_like(d, 0.3))
    with pytest.raises(DataError, match=r"none of the 4 images .* can be evaluated"):
        faithful(flat, student=Says(DISPARITY, lambda d: 1 / d))
    broken = Says(METRIC, lambda d: torch.where(d.amax((1, 2, 3), keepdim=True) > 5, d, torch.nan))
    source = photographs()
    source.samples[1] = Sample(id="dark", image=torch.zeros(3, 12, 16))
    against = Reference(model=broken, name="t")
    result = evaluate({"s": Says(METRIC)}, source, "fidelity", against=against)["s"]
    assert "dark" in [skipped.id for skipped in result.skipped] and "dark" not in result.ids


def test_teacher_and_student_see_images_of_the_same_size() -> None:
    teacher, student = Says(METRIC), Says(METRIC)
    against = Reference(model=teacher, name="t")
    result = evaluate({"s": student}, photographs(), "fidelity", against=against, size=(24, 32))["s"]
    assert set(teacher.sizes) == set(student.sizes) == {(24, 32)}
    assert int(result.pixels[0]) == 24 * 32 and result.metrics["abs_rel"] < 1e-6


def test_the_teacher_is_read_out_as_its_authors_do() -> None:
    teacher = Says(METRIC)
    teacher.read_out = ReadOut(clip=(1.0, 3.0))  # type: ignore[assignment]
    found = faithful(teacher, clipped=Says(METRIC, lambda d: d.clamp(max=3)), student=Says(METRIC))
    assert found["clipped"]["delta1"] == 1 and found["student"]["delta1"] < 0.6


def test_models_are_compared_in_pairs() -> None:
    models = {"near": Says(METRIC, lambda d: 1.05 * d), "far": Says(METRIC, lambda d: 1.4 * d)}
    found = evaluate(models, photographs(), "fidelity", against=Reference(model=Says(METRIC), name="t"))
    told = compare(found["near"], found["far"])
    assert told.n == 4 and told.difference["delta1"] == 1 and told.share_above_zero["delta1"] == 1


def test_what_cannot_be_held_against_a_teacher_is_refused() -> None:
    teacher = Reference(model=Says(METRIC), name="t")
    refused: Sequence[tuple[str, dict[str, nn.Module], str, Reference | None]] = (
        ("is for measured depth", {"s": Says(METRIC)}, "nyu-eigen", teacher),
        ("needs a teacher", {"s": Says(METRIC)}, "fidelity", None),
        ("'truth' answers from the data", {"truth": GroundTruth()}, "fidelity", teacher),
        ("'g' answers from the data", {"s": Says(METRIC)}, "fidelity", Reference(model=GroundTruth(), name="g")),
        ("both offsets are unknown", {"s": Says(DEPTH)}, "fidelity", Reference(model=Says(DISPARITY), name="t")),
    )
    for message, models, protocol, against in refused:
        source = photographs()
        with pytest.raises(ConfigError, match=message):
            evaluate(models, source, protocol, against=against)
        assert source.reads == 0


def test_kinds_meet_at_what_is_known_of_both() -> None:
    assert kind_against(METRIC, SCALE) is kind_against(SCALE, METRIC) is SCALE
    assert kind_against(SCALE, DISPARITY) is kind_against(DISPARITY, METRIC) is DISPARITY
    from kdcli.evals.predict import Raw

    raw = as_known(Raw(map=torch.tensor([[[[2.0]]]]), kind=METRIC, opinion=None), DISPARITY)
    assert raw.kind is DISPARITY and raw.values.item() == 0.5


def test_the_quantile_of_counted_pixels() -> None:
    values = torch.arange(101.0).view(1, 1, 1, 101).repeat(2, 1, 1, 1)
    valid = torch.ones_like(values, dtype=torch.bool)
    valid[1] = False
    assert masked_quantile(values, valid, 0.02)[0].item() == 2 and masked_quantile(values, valid, 0.98)[0].item() == 98
    assert masked_quantile(values, valid, 0.5)[1].isnan()


def test_tables_of_fidelity_are_their_own(tmp_path: Path) -> None:
    models = {"student": Says(METRIC, lambda d: 1.1 * d), "twin": Says(METRIC, lambda d: 1.4 * d)}
    against = Reference(model=Says(METRIC), name="teacher:x")
    source = photographs()
    found = evaluate(models, source, "fidelity", against=against)
    write_csv(tmp_path / "f.csv", found)
    with (tmp_path / "f.csv").open() as stream:
        columns = next(csv.reader(stream))
    assert columns[0] == "against" and "fidelity_delta1" in columns and "delta1" not in columns
    with pytest.raises(DataError, match="no column 'abs_rel'"):
        read_per_image(tmp_path / "f.csv", "student", "look")
    rows = read_per_image(tmp_path / "f.csv", "student", "look", prefix="fidelity_", against="teacher:x")
    assert len(rows) == 4 and not read_per_image(
        tmp_path / "f.csv", "student", "look", prefix="fidelity_", against="other")
    write_evaluation(tmp_path / "f.html", list(found.values()), models, source, against=against)
    text = (tmp_path / "f.html").read_text()
    assert "Fidelity to teacher:x (not accuracy)" in text and "fidelity metric" in text
    assert "ground truth" not in text
    example = examine(models, source, [2], "fidelity", against=against)[0]
    assert example.id == "photo 2" and torch.allclose(example.predictions["student"], 1.1 * example.depth)


def test_teacher_and_models_see_photographs_each_at_its_own_size() -> None:
    teacher, student = Says(METRIC), Says(METRIC, lambda d: 1.1 * d)
    teacher.made_for, student.made_for = MadeFor(eval_size=(6, 8)), MadeFor(eval_size=(24, 32))
    against = Reference(model=teacher, name="teacher")
    result = evaluate({"m": student}, photographs(), "fidelity", against=against)["m"]
    assert (set(teacher.sizes), set(student.sizes)) == ({(6, 8)}, {(24, 32)})
    assert int(result.pixels[0]) == 12 * 16 and result.size == (24, 32)  # the photograph's own
    shown = examine({"m": student}, photographs(), [1], "fidelity", against=against)[0]
    assert shown.depth.shape == shown.predictions["m"].shape == (12, 16)
    asked = evaluate({"m": student}, photographs(), "fidelity", against=against, size=(6, 8))["m"]
    assert int(asked.pixels[0]) == 6 * 8 and set(student.sizes) == {(24, 32), (6, 8)}
