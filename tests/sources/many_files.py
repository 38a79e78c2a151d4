"""Trees of many empty files in the layouts of sources, and the specs that open them: only names matter here."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path


def touch(root: Path, names: Iterable[str]) -> None:
    made: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        if folder not in made:
            (root / folder).mkdir(parents=True, exist_ok=True)
            made.add(folder)
        os.close(os.open(root / name, os.O_CREAT | os.O_WRONLY))


def folder(root: Path, count: int) -> str:
    touch(root, (f"{part}/{i:06d}.{end}" for i in range(count) for part, end in (("images", "jpg"), ("d", "png"))))
    return f"folder:{root}/images,depths={root}/d"


def rgbd(root: Path, count: int) -> str:
    touch(root, (f"{part}/{i:06d}.{end}" for i in range(count) for part, end in (("images", "jpg"), ("depth", "png"))))
    return f"rgbd:{root}"


def nyu(root: Path, count: int) -> str:
    touch(root, (f"scene_{i // 100:04d}/{name}_{i % 100:05d}.{end}" for i in range(count)
                 for name, end in (("rgb", "jpg"), ("sync_depth", "png"))))  # fmt: skip
    return f"nyu:{root}"


def nyu_list(root: Path, count: int) -> str:
    nyu(root, count)
    lines = [f"scene_{i // 100:04d}/rgb_{i % 100:05d}.jpg scene_{i // 100:04d}/sync_depth_{i % 100:05d}.png 518.8579\n"
             for i in range(count)]
    (root / "list.txt").write_text("".join(lines))
    return f"nyu:{root},list={root}/list.txt"


def _kitti(count: int) -> list[tuple[str, str]]:
    drives = [f"2011_09_26_drive_{i // 100:04d}_sync" for i in range(count)]
    return [
        (f"2011_09_26/{drive}/image_02/data/{i % 100:010d}.png",
         f"{drive}/proj_depth/groundtruth/image_02/{i % 100:010d}.png") for i, drive in enumerate(drives)
    ]  # fmt: skip


def kitti_list(root: Path, count: int) -> str:
    pairs = _kitti(count)
    touch(root, (name for pair in pairs for name in pair))
    (root / "list.txt").write_text("".join(f"{image} {depth} 721.5377\n" for image, depth in pairs))
    return f"kitti:{root},list={root}/list.txt"


def pairs(root: Path, count: int) -> str:
    touch(root, (f"images/train/{i:06d}.jpg" for i in range(count)))
    touch(root, (f"depth/train/{i:06d}.png" for i in range(count)))
    (root / "data.yaml").write_text("train: images/train\ndepth_scale: 1000\n")
    return f"pairs:{root}/data.yaml"


def _marigold(count: int) -> list[str]:
    return [f"test/kitchen_{i // 100:04d}/{part}_{i % 100:04d}.png" for i in range(count)
            for part in ("rgb", "depth", "filled")]


def marigold(root: Path, count: int) -> str:
    names = _marigold(count)
    touch(root, names)
    (root / "list.txt").write_text("".join(" ".join(names[i : i + 3]) + "\n" for i in range(0, len(names), 3)))
    return f"marigold:{root},list={root}/list.txt,set=nyu"


def marigold_kitti(root: Path, count: int) -> str:
    files = _kitti(count)
    touch(root, (name for pair in files for name in pair))
    (root / "list.txt").write_text("".join(f"{image} {depth} 721.5377\n" for image, depth in files))
    return f"marigold:{root},list={root}/list.txt,set=kitti"


def marigold_tar(root: Path, count: int) -> str:
    names = _marigold(count)
    tar(root / "nyu.tar", names)
    (root / "list.txt").write_text("".join(" ".join(names[i : i + 3]) + "\n" for i in range(0, len(names), 3)))
    return f"marigold:{root}/nyu.tar,list={root}/list.txt,set=nyu"


def sunrgbd(root: Path, count: int) -> str:
    for i in range(count):
        sample = f"kv2/kinect2data/{i:06d}_2014-05-26_14-23-37_260595134347_rgbf{i:06d}-resize"
        files = (f"image/{i:07d}.jpg", f"depth_bfx/{i:07d}.png", f"depth/{i:07d}.png", "annotation2Dfinal/index.json")
        touch(root, (f"{sample}/{name}" for name in files))
    return f"sunrgbd:{root}"


def diode(root: Path, count: int, ends: tuple[str, ...] = (".png", "_depth.npy", "_depth_mask.npy")) -> str:
    touch(root, (f"train/indoors/scene_{i // 1000:05d}/scan_{i // 100:05d}/{i:05d}_indoors_000_010{end}"
                 for i in range(count) for end in ends))  # fmt: skip
    return f"diode:{root}"


def diode_unmasked(root: Path, count: int) -> str:
    return diode(root, count, (".png", "_depth.npy"))


def hypersim(root: Path, count: int) -> str:
    touch(root, (f"ai_001_{i // 100 + 1:03d}/images/scene_cam_00_{name}" for i in range(count) for name in (
        f"final_preview/frame.{i % 100:04d}.tonemap.jpg", f"geometry_hdf5/frame.{i % 100:04d}.depth_meters.hdf5",
        f"geometry_hdf5/frame.{i % 100:04d}.semantic_instance.hdf5")))  # fmt: skip
    return f"hypersim:{root}"


def vkitti2(root: Path, count: int) -> str:
    touch(root, (f"Scene01/clone/frames/{part}/Camera_0/{part}_{i:05d}.{end}" for i in range(count)
                 for part, end in (("rgb", "jpg"), ("depth", "png"), ("instanceSegmentation", "png"))))  # fmt: skip
    return f"vkitti2:{root}"


def scannet(root: Path, count: int) -> str:
    touch(root, (f"scene{i // 500:04d}_00/{part}/{i % 500}.{end}" for i in range(count)
                 for part, end in (("color", "jpg"), ("depth", "png"), ("instance-filt", "png"))))  # fmt: skip
    return f"scannet:{root}"


def eth3d(root: Path, count: int) -> str:
    touch(root, (f"hall/{part}/DSC_{i:06d}.JPG" for i in range(count)
                 for part in ("images/dslr_images", "ground_truth_depth/dslr_images")))  # fmt: skip
    return f"eth3d:{root}"


def ddad(root: Path, count: int) -> str:
    touch(root, (f"{i // 100:06d}/{i:016d}_{end}" for i in range(count) for end in ("rgb.png", "depth.npy")))
    return f"ddad:{root}"


def moge(root: Path, count: int) -> str:
    touch(root, (f"scene/{i:06d}/{name}" for i in range(count) for name in ("image.jpg", "depth.png", "meta.json")))
    return f"moge:{root}"


def tar(path: Path, names: Iterable[str]) -> None:
    """Write a tar of files of one byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as out:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 1
            out.addfile(info, io.BytesIO(b"x"))


def wds(root: Path, count: int, parts: tuple[str, ...] = ("jpg", "depth.png", "json", "mask.png", "ids.png")) -> str:
    tar(root / "train-000.tar", (f"room/{i:06d}.{part}" for i in range(count) for part in parts))
    return f"wds:{root}/train-000.tar,image=jpg,depth=depth.png,mask=mask.png,instances=ids.png"


BUILDERS: tuple[Callable[[Path, int], str], ...] = (
    folder, rgbd, nyu, nyu_list, kitti_list, pairs, marigold, marigold_kitti, marigold_tar, sunrgbd, diode,
    diode_unmasked, hypersim, vkitti2, scannet, eth3d, ddad, moge, wds,
)  # fmt: skip
