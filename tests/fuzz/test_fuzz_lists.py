"""List files, associations, cameras and instance files in damaged forms: one line, the right code, no false success."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from healthy import HEIGHT, WIDTH, encoded, millimetres, pairs, photo
from mutations import damaged, damaged_document, inputs, shown
from words import ODD, line

Judge = Callable[..., int]
HERE = (
    "rgb/0.png",
    "rgb/1.png",
    "depth/0.png",
    "depth/1.png",
    "None",
    "518.85",
    "rgb\\0.png",
    "./rgb/0.png",
    "/a/b/rgb/0.png",
    "C:\\rgb\\0.png",
    "../set/rgb/0.png",
    "depth",
    "rgb/0.jpg",
    "rgb/nothing.png",
    "nan",
    "inf",
    "-1",
    "1e400",
    "0",
    "depth/1_mask.png",
    "0.05",
    "1305031102.175",
)
FORMS: dict[str, tuple[str, str, bytes]] = {
    "nyu-list": ("my.txt", "nyu:set,list=my.txt", b"rgb/0.png depth/0.png 518.85\nrgb/1.png depth/1.png 518.85\n"),
    "kitti-list": ("my.txt", "kitti:set,list=my.txt", b"rgb/0.png None 721.5\nrgb/1.png depth/1.png 721.5\n"),
    "columns": (
        "my.txt",
        "nyu:set,list=my.txt",
        b"image,depth,focal\nrgb/0.png,depth/0.png,500\nrgb/1.png,depth/1.png,\n",
    ),
    "associations": ("associations.txt", "rgbd:set", b"0.1 rgb/0.png 0.1 depth/0.png\n0.2 rgb/1.png 0.2 depth/1.png\n"),
    "times": ("rgb.txt", "rgbd:set", b"# time file\n0.1 rgb/0.png\n0.2 rgb/1.png\n"),
    "camera": ("camera-intrinsics.txt", "rgbd:set", b"500 0 16\n0 500 12\n0 0 1\n"),
}
"""Family -> file, source, content as it should be."""
NUMBERS = dict.fromkeys(FORMS, 24) | {"kitti-calibration": 20, "coco": 60}
INPUTS = sum(NUMBERS.values())


def hurt(content: bytes, draw: random.Random, words: tuple[str, ...] = HERE) -> bytes:
    """Damage the bytes of a list, a line of it, or write one of words that somebody may use."""
    lines = content.decode().splitlines()
    way = draw.randrange(5)
    if way == 0:
        return damaged(content, draw)
    if way == 1:
        return "\n".join(line(draw, words) for _ in range(draw.randint(1, 4))).encode("utf-8", "surrogateescape")
    place = draw.randrange(len(lines))
    if way == 2:
        lines.insert(place, line(draw, words))
    else:
        parts = lines[place].replace(",", " ").split() or [""]
        parts[draw.randrange(len(parts))] = draw.choice((*words, *ODD))
        lines[place] = ("," if "," in lines[place] else " ").join(parts)
    text = draw.choice(("\n", "\n", "\r\n", "\r")).join(lines)
    return text.encode(draw.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16")), "surrogatepass")


def packed(counts: list[int]) -> str:
    """Run lengths as COCO's own tool writes them, five bits a letter."""
    text = ""
    for number, count in enumerate(counts):
        rest, more = count - (counts[number - 2] if number > 2 else 0), True
        while more:
            bits, rest = rest & 31, rest >> 5
            more = rest != (-1 if bits & 16 else 0)
            text += chr(bits + 32 * more + 48)
    return text


@pytest.mark.parametrize("name", FORMS)
def test_damaged_lists(judge: Judge, folder: Path, name: str) -> None:
    file, source, content = FORMS[name]
    place = pairs(folder / "set")
    (place / "depth.txt").write_bytes(b"0.1 depth/0.png\n0.2 depth/1.png\n")
    (place / file).write_bytes(content)
    assert judge("as it is", "data", "check", source, "--quiet") == 0
    for number, (what, draw) in enumerate(inputs(name, NUMBERS[name])):
        bad = hurt(content, draw)
        (place / file).write_bytes(bad)
        told = f"{what}: {shown(bad)}"
        judge(told, "data", "check", source, "--json", "--quiet")
        if number % 4 == 0:
            judge(told, "eval", "constant", "--data", source, "--json", "--quiet", "--csv", "rows.csv")


def test_damaged_calibration_of_kitti(judge: Judge, folder: Path) -> None:
    day = folder / "set" / "2011_09_26"
    drive = "2011_09_26_drive_0001_sync"
    for part, values in (
        (day / drive / "image_02" / "data", photo()),
        (folder / "set" / drive / "proj_depth" / "groundtruth" / "image_02", millimetres()),
    ):
        part.mkdir(parents=True)
        (part / "0000000005.png").write_bytes(encoded(values, "PNG"))
    row = "P_rect_02: 721.5 0 16 44.8 0 721.5 12 0.2 0 0 1 0.002"
    content = f"calib_time: 09-Jan-2012 13:57:47\nS_rect_02: 32 24\n{row}\n{row.replace('02:', '03:')}\n".encode()
    (day / "calib_cam_to_cam.txt").write_bytes(content)
    assert judge("as it is", "data", "check", "kitti:set", "--quiet") == 0
    words = ("P_rect_02:", "721.5", "nan", "1e999", "0", "-5", "inf", "P_rect_02: 1 2 3")
    for what, draw in inputs("kitti-calibration", NUMBERS["kitti-calibration"]):
        bad = hurt(content, draw, words)
        (day / "calib_cam_to_cam.txt").write_bytes(bad)
        judge(f"{what}: {shown(bad)}", "data", "check", "kitti:set", "--json", "--quiet")


def test_damaged_instance_files(judge: Judge, folder: Path) -> None:
    pairs(folder / "set")
    square = [[2.0, 2, 20, 2, 20, 15, 2, 15]]
    runs = {"size": [HEIGHT, WIDTH], "counts": [100, 50, HEIGHT * WIDTH - 150]}
    images = [{"id": n, "file_name": f"{n}.png", "height": HEIGHT, "width": WIDTH} for n in range(2)]
    outlines = [
        square,
        runs,
        {"size": [HEIGHT, WIDTH], "counts": packed(runs["counts"])},
        [[1, 1, 9, 1, 9, 9], [12, 12, 30, 12, 30, 20]],
    ]
    annotations = [
        {"id": n, "image_id": n % 2, "iscrowd": 0, "category_id": 1, "segmentation": one}
        for n, one in enumerate(outlines)
    ]
    content = json.dumps({"images": images, "annotations": annotations}).encode()
    source = "folder:set/rgb,coco=objects.json"
    Path("objects.json").write_bytes(content)
    assert judge("as it is", "data", "check", source, "--quiet") == 0
    for what, draw in inputs("coco", NUMBERS["coco"]):
        bad = damaged_document(content, draw, "json")
        Path("objects.json").write_bytes(bad)
        judge(f"{what}: {shown(bad)}", "data", "check", source, "--json", "--quiet")
