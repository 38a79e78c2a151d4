"""Every set of real samples loads, by its own source or by a stated encoding, at the scale that it is known to have.

Medians were computed with Pillow and NumPy alone, by the scales of the samples' own description.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kdcli.errors import DataError
from kdcli.plugins import registry
from kdcli.sources import load_source

SINTEL = "sintel_depthpro_npz/Sintel-temple_2-frame_0001"
SAMPLES = [
    ("nyu_depth_v2", "nyu:{}", 2, 3.239),
    ("nyu_multitask_5000", "folder:{}/ExpNYUD_joint/000464.png,depths=.,codec=tum", 1, 2.9646),
    ("nyu_raw_kinect", "rgbd:{},codec=nyu-kinect", 1, 3.2679),
    ("nyudepthv2_h5", "nyu:{},split=train", 2, 3.239),
    ("nyudepthv2_h5", "nyu:{}/nyudepthv2,split=test", 1, 2.9646),
    ("nyu_labeled_mat", "nyu:{}", 3, 3.016),
    ("nyu_labeled_mat", "nyu:{}/nyu_depth_v2_labeled.mat,depth=raw", 3, 3.016),
    ("slambook_rgbd_pgm", "rgbd:{}", 3, 2.98),
    ("fastdepth_npy", "folder:{}/deploy/data/rgb.npy,depths=.", 1, 3.2225),
    ("7scenes_redkitchen", "rgbd:{}/data,every=4", 47, 1.836),
    ("kitti", "kitti:{}", 4, 13.6172),
    ("kitti_object", "kitti-object:{}", 2, 10.485),
    ("kitti_unlabelled_rgb", "folder:{}", 4, None),
    ("tum_rgbd", "rgbd:{}/slambook_ch7", 2, 1.5332),
    ("icl_nuim", "rgbd:{},codec=tum", 3, 2.422),
    ("redwood_rgbd", "rgbd:{}", 3, 1.861),
    ("sunrgbd", "rgbd:{},codec=sunrgbd", 1, 2.723),
    (
        "middlebury2014_motorcycle",
        "folder:{}/motorcycle_left.png,depths=.,codec=disparity,focal_baseline=192.0317,doffs=31.086", 1, 2.7504,
    ),
    ("middlebury2014_motorcycle", "middlebury:{},focal_baseline=192.0317,doffs=31.086", 1, 2.7504),
    (
        "eth3d_two_view_pfm",
        "folder:{}/playground/im0.png,depths=.,codec=disparity,focal_baseline=32.27987", 1, 3.5882,
    ),
    ("eth3d_two_view_pfm", "middlebury:{}", 1, 3.5882),
    ("sintel_depthpro_npz", f"rgbd:{{}}/{SINTEL.partition('/')[2]}", 1, 10.7442),
    ("micro_sec_mde", "folder:{0}/train/img,depths={0}/train/depth,codec=micro-tof", 24, 1.745),
]  # fmt: skip
"""Folder, spec with {} for it, items, median of all valid depth in metres (None: no depth)."""
NOT_SETS = {"weights", "splits", "bad_inputs"}


@pytest.mark.parametrize(("folder", "spec", "count", "median"), SAMPLES, ids=[spec for _, spec, _, _ in SAMPLES])
def test_median_depth(shared: Path, folder: str, spec: str, count: int, median: float | None) -> None:
    place = shared / "data" / folder
    if not place.is_dir():
        pytest.skip(f"no samples at {place}")
    name = spec.partition(":")[0]
    if name not in registry.names("source"):
        pytest.skip(f"source '{name}' is not installed")
    if folder in ("nyudepthv2_h5", "nyu_labeled_mat"):
        pytest.importorskip("h5py")
    source = load_source(spec.format(place))
    assert len(source) == count
    depths = []
    for sample in source:
        if sample.depth is not None and sample.valid is not None:
            assert sample.depth.shape == sample.valid.shape and (sample.depth[~sample.valid] == 0).all()
            depths.append(sample.depth[sample.valid])
    if median is None:
        assert not depths and source.depth_kind is None
    else:
        assert torch.cat(depths).median().item() == pytest.approx(median, rel=2e-3)


def test_no_set_is_left_out(shared: Path) -> None:
    place = shared / "data"
    if not place.is_dir():
        pytest.skip(f"no samples at {place}")
    there = {path.name for path in place.iterdir() if path.is_dir()}
    assert there <= {folder for folder, *_ in SAMPLES} | NOT_SETS


def test_a_pair_that_is_none(shared: Path) -> None:
    place = shared / "data" / "bad_inputs" / "rgb_gt_mismatch" / "dataset"
    if not place.is_dir():
        pytest.skip(f"no samples at {place}")
    source = load_source(f"folder:{place / 'images'},depths={place / 'depth_maps'},codec=kitti")
    with pytest.raises(DataError, match=r"1242x375 but its depth .* is 1241x376"):
        source[0]
