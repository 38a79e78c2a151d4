"""Depth that lies elsewhere than its image shows is named; depth that fits never is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from check_scenes import HEIGHT, WIDTH, Change, tensors, write

from kdcli.errors import KdcliError
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.checks.edges import TURNS, agreement
from kdcli.sources.checks.registration import Registration, registered


def judged(count: int, change: Change = lambda x: x, *, first: int = 0, other: int = 0) -> Registration:
    """Return the verdict over scenes; other: how many scenes further on the depth is from."""
    found = []
    for i in range(first, first + count):
        one = agreement(tensors(i)[0], tensors(i + other, change)[1], None)
        assert one is not None
        found.append(one)
    result = registered(found)
    assert result is not None
    return result


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12])
def test_depth_that_fits_is_not_accused(count: int) -> None:
    for first in range(0, 60, 20):
        found = judged(count, first=first)
        assert found.verdict == "fits" and not found.findings(), found
        assert max(map(abs, found.shift)) < 1.5 / HEIGHT  # a cell


DONE: dict[str, Change] = {
    "mirrored left to right": np.fliplr,
    "upside down": np.flipud,
    "turned by half": lambda x: np.rot90(x, 2),
    "turned by a quarter to the right": lambda x: np.rot90(x, -1),
    "turned by a quarter to the left": np.rot90,
    "with rows and columns exchanged": np.transpose,
    "with rows and columns exchanged and turned by half": lambda x: np.rot90(np.transpose(x), 2),
}


def test_every_turn_is_tried() -> None:
    assert list(TURNS) == ["as it is", *DONE]
    odd = torch.arange(6.0).reshape(1, 2, 3)
    for name, change in DONE.items():
        changed = torch.from_numpy(np.ascontiguousarray(change(odd[0].numpy())))[None]
        assert torch.equal(TURNS[name](changed), odd), name


@pytest.mark.parametrize("name", DONE)
@pytest.mark.parametrize("count", [2, 8])
def test_a_turn_is_named(name: str, count: int) -> None:
    found = judged(count, DONE[name])
    assert found.verdict == name
    (said,) = found.findings()
    assert said.level == "warning" and name in said.message and "kdcli data show" in said.message


@pytest.mark.parametrize(("down", "right"), [(0, 18), (-7, 0), (6, -18)])
def test_a_shift_is_named_with_its_size(down: int, right: int) -> None:
    found = judged(8, lambda x: np.roll(x, (down, right), (0, 1)))
    assert found.verdict == "shifted"
    assert found.shift == pytest.approx((down / HEIGHT, right / WIDTH), abs=1.5 / HEIGHT)
    (said,) = found.findings()
    assert ("too low" in said.message) == (down > 0) and ("too high" in said.message) == (down < 0)
    assert ("too far right" in said.message) == (right > 0) and ("too far left" in said.message) == (right < 0)


def test_depth_of_other_images_is_named() -> None:
    found = judged(12, other=100)
    assert found.verdict == "unrelated" and "other images" in found.findings()[0].message
    assert judged(3, other=100).verdict == "unknown"  # chance could do that


def test_sparse_depth_and_holes_are_no_reason() -> None:
    found = []
    for i in range(8):
        image, depth = tensors(i)
        valid = torch.rand(depth.shape, generator=torch.Generator().manual_seed(i)) < 0.3
        one = agreement(image, depth * valid, valid)
        assert one is not None
        found.append(one)
    result = registered(found)
    assert result is not None and result.verdict in ("fits", "unknown") and not result.findings()


def test_what_has_no_edges_is_not_compared() -> None:
    image, depth = tensors(0)
    assert agreement(image, torch.ones_like(depth), None) is None
    assert agreement(torch.full_like(image, 0.5), depth, None) is None
    assert agreement(image, depth[:, ::8, ::8], None) is None  # too few cells
    assert agreement(image, depth, torch.zeros_like(depth, dtype=torch.bool)) is None
    assert registered([]) is None


def test_of_files(tmp_path: Path) -> None:
    assert survey(load_source(write(tmp_path / "good"))).findings == []
    wrong = survey(load_source(write(tmp_path / "wrong", change=np.fliplr)))
    assert [one.level for one in wrong.findings] == ["warning"]
    assert "mirrored left to right" in wrong.findings[0].message
    low = survey(load_source(write(tmp_path / "low", change=np.flipud)))
    assert len(low.findings) == 1 and "upside down" in low.findings[0].message  # and not that it grows downwards too


def test_sizes_that_are_exchanged(tmp_path: Path) -> None:
    report = survey(load_source(write(tmp_path, count=1, change=np.rot90)))
    assert report.errors == 1 and "turned by a quarter" in report.findings[0].message


REAL = (
    "rgbd:{}/7scenes_redkitchen/data,scale=1000,every=12", "nyu:{}/nyu_depth_v2", "rgbd:{}/slambook_rgbd_pgm/rgbd",
    "rgbd:{}/tum_rgbd/slambook_ch7", "rgbd:{}/icl_nuim/dense_RGBD/data,scale=5000", "rgbd:{}/redwood_rgbd/RGBD",
    "kitti:{}/kitti", "folder:{}/nyu_multitask_5000/ExpNYUD_joint,depths=.,scale=5000",
    "folder:{}/sunrgbd,depths=.,scale=8000",
)


@pytest.mark.parametrize("spec", [*REAL, "sim:rooms,count=6", "sim:interiors,count=6"])
def test_good_data_is_not_accused(request: pytest.FixtureRequest, spec: str) -> None:
    if "{}" in spec:
        spec = spec.format(request.getfixturevalue("shared") / "data")
    report = survey(load_source(spec))
    assert report.registration is not None and report.registration.verdict in ("fits", "unknown")
    assert not [one for one in report.findings if one.level != "info"]


def test_real_data_that_was_mirrored(shared: Path) -> None:
    source = load_source(f"rgbd:{shared}/data/7scenes_redkitchen/data,scale=1000,every=24")
    found = []
    for i in range(len(source)):
        sample = source[i]
        assert sample.depth is not None and sample.valid is not None
        one = agreement(sample.image, sample.depth.flip(-1), sample.valid.flip(-1))
        assert one is not None
        found.append(one)
    result = registered(found)
    assert result is not None and result.verdict == "mirrored left to right"


def test_errors_of_items_are_no_crash(tmp_path: Path) -> None:
    spec = write(tmp_path, count=2)
    (tmp_path / "depth" / "1.png").write_bytes(b"")
    with pytest.raises(KdcliError):
        load_source(spec)[1]
    assert survey(load_source(spec)).read == 1
