"""Formulas that no file may have, and numbers of which none can be made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdcli.calibration import calibrate
from kdcli.calibration.job import note_of
from kdcli.errors import DataError
from kdcli.plugins import registry
from kdcli.sources import load_source
from kdcli.students.files import load_student, save_student
from kdcli.types import DepthKind, MadeFor, Sample

SIZE, WIDE = (32, 48), "plain+max999999+min0.000001"


def _student(
    path: Path, options: str = "max_depth=10", *, std: float = 0.5, kind: DepthKind = DepthKind.METRIC
) -> nn.Module:
    """Write a student with random weights whose numbers reach from 0.1 on."""
    torch.manual_seed(0)
    student = registry.build("student", f"mobilenet,width=0.35,{options}").eval()
    nn.init.normal_(student.head.conv.weight).data.mul_(std)
    student.depth_kind = kind
    save_student(path, student, student.architecture, {}, made_for=MadeFor(train_size=SIZE, eval_size=SIZE))
    return load_student(path)[0]


class Truth:
    """Images whose measured depth is a function of what a student says of them."""

    name, depth_kind = "truth", DepthKind.METRIC

    def __init__(self, student: nn.Module, truth: Callable[[Tensor], Tensor]) -> None:
        self.student, self.truth = student, truth

    def __len__(self) -> int:
        return 8

    @torch.no_grad()
    def __getitem__(self, index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        image = nn.functional.interpolate(torch.rand(1, 3, 4, 6, generator=generator), size=SIZE, mode="bilinear")
        return Sample(id=str(index), image=image[0], depth=self.truth(self.student(image).depth[0]))


@pytest.mark.parametrize(("first", "second", "words"), [
    (lambda x: x**0.3, lambda x: x**0.3, r"exponent of calibration is 0\.0[89]\d*, which metric cannot have"),
    (lambda x: x**3, lambda x: (x / 10) ** 3.8, r"exponent of calibration is 11\.\d+, which metric cannot have"),
    (lambda x: 10 * x**3, lambda x: 10 * x**3.2, r"depth_range is \S+ to \S+e\+\d+, which are no ends"),
])
def test_a_second_calibration_writes_nothing_that_cannot_be_loaded(
    tmp_path: Path, first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor], words: str
) -> None:
    file, once = tmp_path / "s.safetensors", tmp_path / "once.safetensors"
    calibrate(file, "truth", Truth(_student(file), first), out=once, protocol=WIDE)
    model, _ = load_student(once)
    with pytest.raises(DataError, match=words) as caught:
        calibrate(once, "more", Truth(model, second), protocol=WIDE)
    told = str(caught.value)
    assert "'" + str(once) + "'" in told and told.endswith("calibrate the uncalibrated student file of the run instead")
    assert "\n" not in told and sorted(path.name for path in tmp_path.iterdir()) == [once.name, file.name]


def test_a_first_calibration_writes_nothing_that_cannot_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "s.safetensors"
    student = _student(file, "max_depth=1e9")
    with pytest.raises(DataError, match=r"depth_range is \S+ to \S+e\+1\d, which are no ends .* the right data"):
        calibrate(file, "truth", Truth(student, lambda x: 1e-9 * x**2.5), protocol=WIDE)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("std", [0.0, 1e-7, 1e-6])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kind", [DepthKind.METRIC, DepthKind.SCALE_INVARIANT, DepthKind.AFFINE_DISPARITY])
def test_a_student_that_says_one_depth_everywhere(tmp_path: Path, kind: DepthKind, sign: int, std: float) -> None:
    """But for rounding: with metres it keeps them or gets a scale, and a warning; without it stays without."""
    file, rooms = tmp_path / "s.safetensors", load_source("sim:rooms,count=6,seed=7")
    _student(file, "max_depth=100", std=sign * std, kind=kind)
    if kind is not DepthKind.METRIC:
        with pytest.raises(DataError, match="stays without metres"):
            calibrate(file, "rooms", rooms)
        return
    found = calibrate(file, "rooms", rooms)
    assert found.choice.name in ("none", "scale")
    assert any(note.startswith("warning: that is not clearly better") for note in note_of(found))
    assert load_student(found.out)[0].depth_kind is DepthKind.METRIC
