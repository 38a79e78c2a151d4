"""What is found does not depend on how many processes look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from check_scenes import tensors, write

from kdcli.errors import DataError, KdcliError
from kdcli.sources import load_source
from kdcli.sources.checks import survey
from kdcli.sources.checks.twins import shared
from kdcli.sources.checks.workers import MOST, default_workers, in_order
from kdcli.types import DepthKind, Finding, Sample


def test_the_same_whatever_the_number(tmp_path: Path) -> None:
    spec = write(tmp_path, 7, change=np.fliplr)
    (tmp_path / "depth/3.png").write_bytes(b"not a picture")
    source, ticks = load_source(spec), []
    alone = survey(source)
    for workers in (1, 3):
        other = survey(source, workers=workers, tick=lambda done, total: ticks.append((done, total)))
        assert other == alone
    assert ticks == [(i + 1, 7) for i in range(7)] * 2
    assert alone.errors == 1 and alone.read == 6
    twins = shared(source, source, spec)
    assert twins == shared(source, source, spec, workers=2) and len(twins.twins) == 7


class _Named:
    name, depth_kind = "named", DepthKind.METRIC


def _times(index: int) -> int:
    if index == 3:
        raise DataError("three is no number")
    return 10 * index


@pytest.mark.parametrize("workers", [0, 2])
def test_order_and_errors(workers: int) -> None:
    assert list(in_order(_times, [5, 1, 4], workers=workers, what=_Named())) == [50, 10, 40]
    with pytest.raises(KdcliError, match="three is no number") as caught:
        list(in_order(_times, [1, 3], workers=workers, what=_Named()))
    assert type(caught.value) is DataError


class _Careless(_Named):
    """Depth with what is no number, and nothing that says so."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        image, depth = tensors(index)
        depth[0, :3, 0] = torch.tensor([float("nan"), float("inf"), -1.0])
        return Sample(id=str(index), image=image, depth=depth, intrinsics=torch.tensor([float("nan")] * 4))

    def check(self) -> list[Finding]:
        return []


def test_numbers_that_are_none_are_holes() -> None:
    report = survey(_Careless())
    assert report.depth is not None and report.depth["holes"] == pytest.approx(3 / (96 * 128))
    assert report.depth["min"] > 0 and np.isfinite(report.depth["max"])
    assert report.registration is not None and report.registration.verdict == "fits"


def test_no_process_for_a_few() -> None:
    assert default_workers(0) == default_workers(20) == 0
    assert 0 <= default_workers(10**6) <= MOST
