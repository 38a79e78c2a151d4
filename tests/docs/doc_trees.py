"""Small trees of images in the layouts that the documents name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trees
import trees_ibims
import trees_lasers
import trees_marigold
import trees_nyu
import trees_pairs
import trees_rooms
import trees_scannet
import trees_streets
import trees_sunrgbd
from PIL import Image

VIDEO = 154
"""Frames of a recording of which the documents take 150 for training and the rest for measuring."""


def nyu(root: Path) -> None:
    """NYU as its official splits are unpacked."""
    for split, count in (("train", 3), ("test", 2)):
        scene = root / "official_splits" / split / "kitchen"
        for i in range(count):
            trees.photo(scene / f"rgb_{i:05}.jpg", 480, 640, i)
            trees.depth(scene / f"sync_depth_{i:05}.png", 480, 640, 2500)


def kitti(root: Path) -> None:
    trees.kitti(root, 2, 375, 1242)


def kitchen(root: Path) -> None:
    """Colour and depth in folders of their own."""
    trees.rgbd(root, VIDEO)


def seven_scenes(root: Path) -> None:
    """A recording as 7-Scenes has it: two files a frame, side by side."""
    for i in range(VIDEO):
        trees.photo(root / f"frame-{5 * i:06}.color.jpg", 48, 64, i)
        trees.depth(root / f"frame-{5 * i:06}.depth.png", 48, 64, 2000)


def scenenet(root: Path) -> None:
    """Two trajectories with object ids, and no protobuf."""
    ids = np.repeat(np.array([0, 1, 2, 3, 700], np.uint16), 64)[None].repeat(240, 0)
    for trajectory in ("0/5", "0/12"):
        for frame in (0, 25):
            folder = root / "val" / trajectory
            trees.photo(folder / "photo" / f"{frame}.jpg", 240, 320, frame)
            trees.depth(folder / "depth" / f"{frame}.png", 240, 320, 3000)
            (folder / "instance").mkdir(exist_ok=True)
            Image.fromarray(ids).save(folder / "instance" / f"{frame}.png")


def diode(root: Path) -> None:
    trees_lasers.diode(root)


def eth3d(root: Path) -> None:
    trees_lasers.eth3d(root)


def hypersim(root: Path) -> None:
    trees_rooms.hypersim(root)


def marigold(root: Path) -> None:
    trees_marigold.marigold(root)


def pairs(root: Path) -> None:
    trees_pairs.pairs(root)


def bare_pairs(root: Path) -> None:
    """Images and depth without a YAML, of one split."""
    trees.photo(root / "images" / "a.png", 48, 64)
    trees.depth(root / "depth" / "a.png", 48, 64, 2500)


def vkitti2(root: Path) -> None:
    trees_streets.vkitti2(root)


def photos(root: Path) -> None:
    trees.photos(root, 6, 120, 160)


def streets(root: Path) -> None:
    trees.photos(root, 3, 120, 400)


def photo(path: Path) -> None:
    trees.photo(path, 240, 320)


def clip(path: Path) -> None:
    """Write a film of ten frames."""
    av = pytest.importorskip("av", reason="PyAV is an extra: pip install 'kdcli[video]'")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for i in range(10):
            ramp = np.tile(np.linspace(10 * i, 10 * i + 100, 160), (120, 1)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([ramp] * 3, -1), format="rgb24")))
        container.mux(stream.encode(None))


def foreign_onnx(path: Path) -> None:
    """Write an ONNX network of one image that says nothing of itself."""
    import onnx
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 3, "h", "w"]) for name in ("in", "out")]
    graph = helper.make_graph([helper.make_node("Relu", ["in"], ["out"])], "net", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def depth(path: Path) -> None:
    trees.depth(path, 240, 320, 2000)


def disparities(root: Path) -> None:
    """Predictions of the test images of NYU, scene and frame in one name."""
    root.mkdir(parents=True)
    for i in range(2):
        np.save(root / f"kitchen_rgb_{i:05}.npy", np.linspace(0, 9, 480 * 640, dtype=np.float32).reshape(480, 640))


def metric_predictions(root: Path) -> None:
    for i in range(2):
        trees.depth(root / "kitchen" / f"rgb_{i:05}.png", 480, 640, 600)


def device_outputs(root: Path) -> None:
    root.mkdir(parents=True)
    for i in range(6):
        (root / f"{i}.raw").write_bytes(np.full((120, 160), 1.5, "<f4").tobytes())


def sun_flat(root: Path) -> None:
    """Two pairs with SUN RGB-D's numbers in a plain layout."""
    for i in range(2):
        trees.photo(root / "rgb" / f"{i}.jpg", 48, 64, i)
        trees.depth(root / "depth" / f"{i}.png", 48, 64, 2500 << 3)


def stereo(root: Path) -> None:
    """Images with disparity in pixels."""
    for i in range(2):
        trees.photo(root / "images" / f"{i}.png", 48, 64, i)
        (root / "disparity").mkdir(exist_ok=True)
        np.save(root / "disparity" / f"{i}.npy", np.full((48, 64), 40 + i, np.float32))


def rays(root: Path) -> None:
    """Images with lengths of rays in HDF5 files."""
    h5py = pytest.importorskip("h5py")
    for i in range(2):
        trees.photo(root / "images" / f"{i}.png", 48, 64, i)
        (root / "depth").mkdir(exist_ok=True)
        with h5py.File(root / "depth" / f"{i}.hdf5", "w") as file:
            file["dataset"] = np.full((48, 64), 3.5 + i, np.float16)


def scannet(root: Path) -> None:
    """Two scenes of exported frames, and the list that names them."""
    for scene in ("scene0011_00", "scene0015_00"):
        trees_scannet.frames(root / "scans" / scene, range(2))
    (root / "scannetv2_val.txt").write_text("scene0011_00\nscene0015_00\n")


def nyu_labelled(root: Path) -> None:
    trees_nyu.labelled(root / "nyu_depth_v2_labeled.mat")
    trees_nyu.splits(root / "splits.mat", train=[3, 4], test=[1, 2])


def nyu_h5(root: Path) -> None:
    trees_nyu.fastdepth(root)


def sunrgbd(root: Path) -> None:
    trees_sunrgbd.sunrgbd(root.parent)
    names = list(trees_sunrgbd.SAMPLES)
    trees_sunrgbd.lists(root, train=names[3:], test=names[:3])


def ibims(root: Path) -> None:
    trees_ibims.matlab(root / "ibims1_core_mat")
