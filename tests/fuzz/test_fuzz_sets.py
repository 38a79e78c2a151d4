"""What kdcli writes beside data, damaged in seeded ways: maps of caches, sidecars of predictions, parts of a set."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from containers import damaged_head, damaged_png, damaged_safetensors
from healthy import encoded, millimetres, pairs, photo
from mutations import damaged, damaged_document, inputs, shown

Judge = Callable[..., int]
CACHES = {"png16": ("kdcli", 14), "float32": ("kdcli", 14), "authors": ("gt-kd", 12)}
NUMBERS = {"sidecars": 40, "protobuf": 30, "mixed-parts": 20}
INPUTS = sum(NUMBERS.values()) + sum(number for _, number in CACHES.values())
_SEEN = "sim:blocks,count=2,size=32x64"
_CACHE = ("cache", "--teacher", "demo", "--data", _SEEN, "--out", "maps", "--size", "32x64", "--quiet")
_TRAIN = (
    "distill",
    "--recipe",
    "plain",
    "--teacher",
    "demo",
    "--data",
    _SEEN,
    "--student",
    "mobilenet,width=0.35",
    "--size",
    "32x64",
    "--batch-size",
    "2",
    "--steps",
    "1",
    "--eval-data",
    "none",
    "--no-twin",
    "--dry-run",
    "--quiet",
    "--mixer",
    "none",
)


@pytest.mark.parametrize("name", CACHES)
def test_damaged_maps_of_caches(judge: Judge, folder: Path, name: str) -> None:
    layout, number = CACHES[name]
    more = ("--layout", layout, "--max-depth", "80") if layout == "gt-kd" else ("--storage", name)
    assert judge("as it is", *_CACHE, *more) == 0
    path = sorted(path for path in (folder / "maps").rglob("*") if path.suffix in (".png", ".safetensors"))[0]
    content = path.read_bytes()
    parts = damaged_png if path.suffix == ".png" else damaged_safetensors
    for count, (what, draw) in enumerate(inputs(name, number)):
        bad = draw.choice((damaged, damaged_head, parts, parts))(content, draw)
        path.write_bytes(bad)
        told = f"{what}: {shown(bad)}"
        if count % 3:
            judge(told, *_CACHE, *more, "--verify")
        else:
            judge(told, *_TRAIN, "--set", "teacher_cache=maps", writes=("maps",))


def test_damaged_sidecars_of_predictions(judge: Judge, folder: Path) -> None:
    place = pairs(folder / "set")
    command = (
        "predict",
        "teacher:demo",
        "set/rgb/0.png",
        "--out",
        "maps",
        "--size",
        "32x64",
        "--format",
        "both",
        "--json",
    )
    assert judge("as it is", *command) == 0
    content = Path("maps/0.json").read_bytes()
    shutil.copytree("maps", place / "predictions")
    for number, (what, draw) in enumerate(inputs("sidecars", NUMBERS["sidecars"])):
        bad = damaged_document(content, draw, "json")
        (place / "predictions" / "0.json").write_bytes(bad)
        told = f"{what}: {shown(bad)}"
        judge(told, "data", "check", "folder:set/rgb,depths=set/predictions", "--json", "--quiet")
        judge(told, "data", "check", "folder:set,recursive=true", "--json", "--quiet")
        if number % 8 == 0:
            Path("maps/0.json").write_bytes(bad)
            judge(told, *command)


def test_damaged_files_of_scenenet(judge: Judge, folder: Path) -> None:
    place = folder / "set" / "val" / "0" / "223"
    for name, values, form in (
        ("photo/0.jpg", photo(), "JPEG"),
        ("depth/0.png", millimetres(), "PNG"),
        ("instance/0.png", millimetres() // 900, "PNG"),
    ):
        (place / name).parent.mkdir(parents=True)
        (place / name).write_bytes(encoded(values, form))
    instances = b"".join(
        b"\x0a\x04\x08" + bytes([number]) + b"\x20" + bytes([kind]) for number, kind in ((1, 4), (2, 2), (3, 4))
    )
    trajectory = instances + b"\x22\x050/223"
    content = b"\x0a" + bytes([len(trajectory)]) + trajectory
    path = folder / "set" / "scenenet_rgbd_val.pb"
    path.write_bytes(content)
    assert judge("as it is", "data", "check", "scenenet:set", "--quiet") == 0
    for what, draw in inputs("protobuf", NUMBERS["protobuf"]):
        bad = damaged(content, draw)
        path.write_bytes(bad)
        judge(f"{what}: {shown(bad)}", "data", "check", "scenenet:set", "--json", "--quiet")


def test_damaged_parts_of_mixed_sets(judge: Judge, folder: Path) -> None:
    mix = (
        "mix",
        "--data",
        "sim:blocks,count=4",
        "--mixer",
        "cutmix",
        "--size",
        "32x32",
        "--count",
        "2",
        "--out",
        "mixed",
        "--quiet",
    )
    assert judge("as it is", *mix) == 0
    paths = sorted(path for path in (folder / "mixed").rglob("*.png"))
    for what, draw in inputs("mixed-parts", NUMBERS["mixed-parts"]):
        path = draw.choice(paths)
        content = path.read_bytes()
        bad = draw.choice((damaged, damaged_png))(content, draw)
        path.write_bytes(bad)
        told = f"{what}: {path.relative_to(folder)}: {shown(bad)}"
        judge(told, "data", "check", "folder:mixed", "--json", "--quiet")
        judge(told, *mix)
        path.write_bytes(content)
