from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import kdcli
from kdcli.cache.identity import key_of
from kdcli.errors import ConfigError, SpecError
from kdcli.plugins import registry
from kdcli.students.files import save_student
from kdcli.teachers import scaled
from kdcli.teachers.robust import LEAST, median_ratio, scale_and_shift
from kdcli.teachers.scaled import Scaled
from kdcli.testing import check_teacher, toy_batch
from kdcli.types import DepthKind, MadeFor, Prediction, Provenance


class Says(nn.Module):
    """A teacher that says the same maps whatever it is shown."""

    def __init__(self, depth: Tensor, kind: str, valid: Tensor | None = None,
                 depth_range: tuple[float, float] = (0.1, 10.0)) -> None:
        super().__init__()
        self.depth, self.valid = depth, valid
        self.depth_kind, self.depth_range, self.taps = DepthKind(kind), depth_range, {}
        self.provenance = Provenance(name="says", licence=f"L {kind}")

    def forward(self, image: Tensor) -> Prediction:
        # The image counts, so that a gradient to it can be asked for.
        return Prediction(depth=self.depth + 0 * image.mean(), kind=self.depth_kind, valid=self.valid)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> object:
    """Return what makes ``scaled:`` of two teachers that are there already."""

    def make(structure: nn.Module, metric: nn.Module) -> Scaled:
        by_name = {"a": structure, "b": metric}
        monkeypatch.setattr(scaled, "build_member", by_name.__getitem__)
        return Scaled("[a|b]")

    return make


def _scene(count: int = 2) -> Tensor:
    """Depth of 1 to 9 m, B x 1 x 24 x 32."""
    torch.manual_seed(0)
    return 1 + 8 * torch.rand(count, 1, 24, 32)


def _spoil(depth: Tensor, share: float = 0.2) -> Tensor:
    """Replace a share of the pixels by depth of anywhere in the range."""
    torch.manual_seed(1)
    return torch.where(torch.rand_like(depth) < share, 0.2 + 9.7 * torch.rand_like(depth), depth)


IMAGE = torch.zeros(2, 3, 24, 32)


@pytest.mark.parametrize(("kind", "structure"), [
    ("affine_disparity", lambda depth: 7.5 / depth + 3),
    ("affine_disparity", lambda depth: 0.02 / depth - 4),
    ("affine_depth", lambda depth: 0.04 * depth - 2),
    ("scale_invariant", lambda depth: 31 * depth),
    ("metric", lambda depth: 0.7 * depth),
])
@pytest.mark.parametrize("wrong", ["structure", "metric", "none"])
def test_scale_and_shift_are_found_among_outliers(together, kind, structure, wrong) -> None:
    true = _scene()
    seen, metric = structure(true), true
    if wrong == "metric":
        metric = _spoil(true)
    if wrong == "structure":
        seen = torch.where(_spoil(true) == true, seen, seen.flatten(1).max(1).values.view(-1, 1, 1, 1) * 1.5)
    said = together(Says(seen, kind), Says(metric, "metric"))(IMAGE)
    assert said.kind is DepthKind.METRIC and said.valid.all()
    right = torch.ones_like(true, dtype=torch.bool) if wrong != "structure" else seen == structure(true)
    # The second structure has lost digits of its own: float32 has steps of 5e-7 about 4, a share of 2e-5 of 0.02.
    assert torch.allclose(said.depth[right], true[right], rtol=2e-3 if structure(true).min() < -3 else 1e-4)


def test_each_image_has_a_scale_of_its_own(together) -> None:
    true = _scene()
    seen = torch.stack([2 / true[0] + 1, 5 / true[1] - 1])
    assert torch.allclose(together(Says(seen, "affine_disparity"), Says(true, "metric"))(IMAGE).depth, true, rtol=1e-4)


@pytest.mark.parametrize("structure", [
    lambda depth: -1 / depth, lambda depth: 1e8 + 1 / depth, lambda depth: torch.full_like(depth, 3.0),
    lambda depth: torch.full_like(depth, torch.nan), lambda depth: torch.full_like(depth, torch.inf),
])
@pytest.mark.parametrize("kind", ["affine_disparity", "affine_depth"])
def test_an_image_of_no_use_keeps_the_metres_of_the_other(together, structure, kind) -> None:
    """One image of two; the other one is fitted as ever."""
    true = _scene()
    good = 3 / true[1] + 1 if kind == "affine_disparity" else 3 * true[1] + 1
    bad = structure(true[0]) if kind == "affine_disparity" else structure(1 / true[0])
    metric = Says(true, "metric")
    said = together(Says(torch.stack([bad, good]), kind), metric)(IMAGE)
    assert torch.equal(said.depth[0], true[0]) and said.valid.all()
    assert torch.allclose(said.depth[1], true[1], rtol=1e-4)


def test_it_knows_what_both_know(together) -> None:
    true = _scene()
    holes, few = torch.rand_like(true) > 0.3, torch.zeros_like(true, dtype=torch.bool)
    few[..., : LEAST - 1] = True
    few[..., 1:, :] = False
    said = together(Says(2 * true, "scale_invariant", holes), Says(true, "metric", ~few))(IMAGE)
    assert torch.equal(said.valid, holes & ~few)
    assert torch.allclose(said.depth[said.valid], true[said.valid], rtol=1e-5) and (said.depth[~said.valid] == 1).all()
    blind = together(Says(2 * true, "scale_invariant", few), Says(true, "metric", holes))(IMAGE)
    assert torch.equal(blind.valid, holes) and torch.equal(blind.depth[holes], true[holes])
    nothing = together(Says(2 * true, "metric"), Says(true, "metric", torch.zeros_like(holes)))(IMAGE)
    assert not nothing.valid.any() and torch.isfinite(nothing.depth).all()


def test_depth_stays_in_the_range_of_the_metric_one(together) -> None:
    true = _scene()
    seen = (1 / true).clamp(min=0.15)
    seen[:, :, 0, 0] = -5  # sky, say: behind the farthest
    said = together(Says(seen, "affine_disparity"), Says(true, "metric"))(IMAGE)
    assert said.depth.max() == 10 and torch.isfinite(said.depth).all()


def test_gradients_reach_the_image_through_the_structure(together) -> None:
    image, true = torch.zeros(2, 3, 24, 32, requires_grad=True), _scene()

    class Bright(Says):
        def forward(self, image: Tensor) -> Prediction:
            return Prediction(depth=self.depth + image.mean(1, keepdim=True), kind=self.depth_kind)

    together(Bright(3 / true, "affine_disparity"), Says(true, "metric"))(image).depth.sum().backward()
    # d = 1 / (s x + t): the derivative is -s d^2, with s = 1/3 and a third of it for each colour.
    assert torch.allclose(image.grad, (-true.square() / 9).expand(-1, 3, -1, -1), rtol=1e-3)


def test_lines_are_found_alike_alone_and_in_company() -> None:
    torch.manual_seed(3)
    x = torch.rand(3, 500)
    y = 2 * x + 1 + 0.1 * torch.randn(3, 500)
    valid = torch.rand(3, 500) < 0.8
    one = [scale_and_shift(x[i : i + 1], y[i : i + 1], valid[i : i + 1]) for i in range(3)]
    for found, alone in zip(scale_and_shift(x, y, valid), zip(*one, strict=True), strict=True):
        assert torch.allclose(found.float(), torch.cat(alone).float(), atol=1e-5)
    factor, sound = median_ratio(x, 3 * x, valid)
    assert sound.all() and torch.allclose(factor, torch.full_like(factor, 3))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A student that gives disparity and one that gives metres, with random weights."""
    folder, specs = tmp_path_factory.mktemp("pair"), []
    for seed, kind in enumerate((DepthKind.AFFINE_DISPARITY, DepthKind.METRIC)):
        torch.manual_seed(seed)
        student = registry.build("student", f"mobilenet,width=0.35,max_depth={5 + seed}")
        nn.init.normal_(student.head.conv.weight, std=0.3)
        student.depth_kind = kind
        save_student(folder / f"{seed}.safetensors", student, student.architecture,
                     {"licence": f"L{seed}", "training_data": "boxes"})
        specs.append(f"run:{folder / f'{seed}.safetensors'}")
    return specs


def test_it_conforms(files: list[str]) -> None:
    check_teacher(f"scaled:[{'|'.join(files)}]")
    check_teacher(f"scaled:[{files[1]}|{files[1]}]")


def test_what_it_is_made_of(files: list[str]) -> None:
    text = f"scaled:[{'|'.join(files)}]"
    teacher = kdcli.load_model(f"teacher:{text}")
    assert teacher.depth_kind is DepthKind.METRIC and teacher.depth_range == (0.1, 6.0)
    assert teacher.provenance.licence == "L0, L1" and files[0] in teacher.provenance.name
    assert {"1.enc1", "2.pre_head"} <= set(teacher.taps)
    key = key_of(text, teacher, (64, 96))
    assert key.storage == "png16" and key.teacher["plugin"] == "scaled" and key.teacher["sha256"]
    other = f"scaled:[{files[1]}|{files[1]}]"
    assert key.digest != key_of(other, kdcli.load_model(f"teacher:{other}"), (64, 96)).digest
    nested = f"scaled:[mean:[{files[0]}|{files[0]}]|{files[1]}]"
    image = toy_batch(batch=2).image
    with torch.no_grad():
        assert torch.allclose(kdcli.load_model(f"teacher:{nested}")(image).depth, teacher(image).depth, rtol=1e-3)


def test_sizes_of_the_one_and_scenes_of_the_other(together) -> None:
    structure, metric = Says(_scene(), "affine_disparity"), Says(_scene(), "metric")
    assert together(structure, metric).made_for is None
    metric.made_for = MadeFor(train_size=(416, 544), eval_size=(480, 640), domain="indoor", near=0.5, far=10.0,
                              test="sim:rooms,count=3")
    assert together(structure, metric).made_for == MadeFor(
        train_size=(416, 544), eval_size=(480, 640), domain="indoor", near=0.5, far=10.0, test="sim:rooms,count=3")
    structure.made_for = MadeFor(train_size=(384, 384), domain="any", transfer="sim:blocks,count=9")
    assert together(structure, metric).made_for == MadeFor(
        train_size=(384, 384), domain="indoor", near=0.5, far=10.0, test="sim:rooms,count=3")


def test_what_is_no_pair(files: list[str]) -> None:
    for text, message in ((f"[{files[0]}]", "names 1 teacher"), (f"[{'|'.join([*files, files[0]])}]", "it is two")):
        with pytest.raises(SpecError, match=message):
            registry.build("teacher", f"scaled:{text}")
    with pytest.raises(ConfigError, match="gives affine_disparity, no metres"):
        registry.build("teacher", f"scaled:[{files[1]}|{files[0]}]")
    with pytest.raises(ConfigError, match="answers from the data"):
        registry.build("teacher", f"scaled:[{files[0]}|ground-truth]")


def test_a_run_with_it(files: list[str], tmp_path: Path) -> None:
    from kdcli.config import load
    from kdcli.recipes import read

    config = load(*read("plain"), {
        "teachers": [f"scaled:[{'|'.join(files)}]"], "student": "mobilenet,width=0.35", "data": "sim:blocks,count=8",
        "steps": 2, "batch_size": 2, "size": (64, 96), "eval_data": "none", "protocol": "plain",
        "seed": 1,
        "teacher_cache": str(tmp_path / "kept"),
    })
    result = kdcli.distill(config, out=tmp_path / "run")
    student = kdcli.load_model(result.student)
    assert student.depth_kind is DepthKind.METRIC and student.card["licence"] == "L0, L1"


def test_a_run_is_read_out_as_its_network(tmp_path: Path) -> None:
    student = registry.build("student", "zipdepth")
    save_student(tmp_path / "s.safetensors", student, "", {})
    assert registry.build("teacher", f"run:{tmp_path / 's.safetensors'}").read_out == student.read_out
    assert student.read_out.resize == "bilinear-corners"
