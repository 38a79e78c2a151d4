from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import kdcli
from kdcli.errors import ConfigError, SpecError
from kdcli.plugins import registry
from kdcli.students.files import save_student
from kdcli.teachers.ensemble import comparable, members_of
from kdcli.testing import check_teacher, toy_batch
from kdcli.types import DepthKind, MadeFor


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three small networks with random weights, as files; the second takes finer steps."""
    folder, specs = tmp_path_factory.mktemp("members"), []
    for seed in range(3):
        torch.manual_seed(seed)
        student = registry.build("student", "mobilenet,width=0.35")
        torch.nn.init.normal_(student.head.conv.weight, std=0.3)
        save_student(folder / f"{seed}.safetensors", student, student.architecture,
                     {"licence": f"L{seed % 2}", "training_data": "boxes"},
                     made_for=MadeFor(train_size=(64, 96), domain="indoor", far=10.0 - seed))
        specs.append(f"run:{folder / f'{seed}.safetensors'}")
    return specs


def test_the_mean_is_the_mean(students: list[str]) -> None:
    teacher = kdcli.load_model(f"teacher:mean:[{'|'.join(students)}]")
    image = toy_batch(batch=2).image
    with torch.no_grad():
        alone = [kdcli.load_model(f"teacher:{spec}")(image).depth for spec in students]
        together = teacher(image)
    assert torch.allclose(together.depth, torch.stack(alone).mean(dim=0), atol=1e-6)
    assert together.valid is not None and together.valid.all()
    provenance = teacher.provenance
    assert provenance.licence == "L0, L1" and provenance.training_data == "boxes"  # type: ignore[union-attr]
    assert teacher.made_for == MadeFor(train_size=(64, 96), domain="indoor", far=10.0)
    assert {"1.enc1", "3.pre_head"} <= set(teacher.taps)  # type: ignore[arg-type]


def test_the_best_is_chosen_by_ground_truth_where_there_is_any(students: list[str]) -> None:
    teacher = kdcli.load_model(f"teacher:best:[{'|'.join(students)}]")
    batch = toy_batch(batch=3)
    with torch.no_grad():
        maps, _ = teacher.maps(batch.image)  # type: ignore[operator]
        size = tuple(batch.image.shape[-2:])
        wanted = [2, 0, 1]
        truth = torch.stack([maps[m, i] for i, m in enumerate(wanted)])
        truth = torch.nn.functional.interpolate(truth, size=size, mode="nearest-exact")
        marked = torch.ones_like(truth, dtype=torch.bool)
        marked[2] = False
        said = teacher.from_batch(replace(batch, depth=truth, valid=marked))  # type: ignore[operator]
        blind = teacher(batch.image)
    for i in (0, 1):
        assert torch.equal(said.depth[i], maps[wanted[i], i])
    assert torch.equal(said.depth[2], blind.depth[2]), "without ground truth the members decide"
    spread = (maps.log() - maps.median(dim=0).values.log()).abs().mean(dim=(2, 3, 4))
    for i, m in enumerate(spread.argmin(dim=0).tolist()):
        assert torch.equal(blind.depth[i], maps[m, i])


def test_conform(students: list[str]) -> None:
    check_teacher(f"mean:[{'|'.join(students[:2])}]")
    check_teacher(f"best:[{'|'.join(students)}]")


def test_members_may_have_options(students: list[str]) -> None:
    inner = "a|b:F.pth,max_depth=10|c,x=1"
    assert members_of(f"[{inner}]") == ["a", "b:F.pth,max_depth=10", "c,x=1"]
    with pytest.raises(SpecError, match="write several"):
        registry.build("teacher", f"mean:[{students[0]}]")
    with pytest.raises(SpecError, match="no key 'wdith'"):
        registry.build("teacher", f"mean:[{students[0]}|run:x,wdith=2]")
    with pytest.raises(ConfigError, match="answers from the data"):
        registry.build("teacher", f"mean:[{students[0]}|ground-truth]")


def test_members_of_two_kinds_are_refused(students: list[str], tmp_path: Path) -> None:
    student = registry.build("student", "mobilenet,width=0.35")
    student.depth_kind = DepthKind.AFFINE_DISPARITY
    save_student(tmp_path / "d.safetensors", student, student.architecture, {})
    disparity = f"run:{tmp_path / 'd.safetensors'}"
    with pytest.raises(ConfigError, match=r"gives metric, .* affine_disparity"):
        registry.build("teacher", f"mean:[{students[0]}|{disparity}]")
    with pytest.raises(ConfigError, match="only positive depth"):
        registry.build("teacher", f"best:[{disparity}|{disparity}]")


def test_numbers_of_unknown_scale_are_made_comparable() -> None:
    maps = torch.rand(2, 3, 1, 8, 8) + 0.5
    moved = maps * 3 + 2
    kind = DepthKind.AFFINE_DISPARITY
    assert torch.allclose(comparable(maps, kind), comparable(moved, kind), atol=1e-4)
    assert torch.allclose(comparable(maps, DepthKind.SCALE_INVARIANT), comparable(5 * maps, DepthKind.SCALE_INVARIANT))


def test_several_teachers_in_one_run(students: list[str], tmp_path: Path) -> None:
    from kdcli.config import load
    from kdcli.recipes import read

    flags = {
        "teachers": students[:2], "student": "mobilenet,width=0.35", "data": "sim:blocks,count=8", "steps": 2,
        "batch_size": 2, "size": (64, 96), "eval_data": "sim:rooms,count=3", "protocol": "plain", "seed": 1,
    }
    config = load(*read("plain"), flags)
    result = kdcli.distill(config, out=tmp_path / "run")
    assert {"teacher", "teacher 2", "student"} <= result.eval.keys()
    assert result.eval["student"]["paired"].keys() >= {"teacher", "teacher 2"}
