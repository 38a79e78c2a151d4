"""Real samples, converted and read back: not a number of their depth changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conversions import readable, written

from kdcli.sources import load_source

SAMPLES = {
    "tum_rgbd": "rgbd", "redwood_rgbd": "rgbd", "7scenes_redkitchen": "rgbd", "nyu_depth_v2": "nyu", "kitti": "kitti",
}


@pytest.mark.parametrize(("folder", "source"), SAMPLES.items())
def test_depth_of_real_samples_is_kept_to_the_last_bit(folder: str, source: str, shared: Path, tmp_path: Path) -> None:
    place = shared / "data" / folder
    if not place.is_dir():
        pytest.skip(f"no sample at {place}")
    data = f"{source}:{place},count=2"
    report = written(data, tmp_path / "out", "folder", image="png")
    back, was = readable(report.spec), load_source(data)
    assert back is not None
    pairs = [(was[i], min((back[k] for k in range(len(back))), key=lambda s, i=i: apart(s.image, was[i].image)))
             for i in range(len(was))]
    for before, after in pairs:
        assert torch.equal(before.image, after.image)
        if before.depth is not None:
            assert after.depth is not None and before.valid is not None and after.valid is not None
            assert torch.equal(before.valid, after.valid) and bool(before.valid.any())
            assert torch.equal(before.depth * before.valid, after.depth)


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max()) if one.shape == other.shape else 2.0
