"""Photographs, depth maps and masks, damaged in seeded ways: one line, the right code, no number that is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from containers import damaged_head, damaged_npy, damaged_png, damaged_zip
from healthy import array, arrays, depth, encoded, maps, millimetres, pairs, photo, pictures
from mutations import damaged, inputs, shown

Judge = Callable[..., int]
FAMILIES = {"pictures": 110, "maps": 150, "values": 60, "masks": 40, "predicted": 14}
INPUTS = sum(FAMILIES.values())


def hurt(name: str, content: bytes, draw: object) -> bytes:
    """Damage a file in its bytes, its head or its parts."""
    inner = {".png": damaged_png, ".npz": damaged_zip, ".npy": damaged_npy}.get(Path(name).suffix, damaged_head)
    return draw.choice((damaged, damaged_head, inner, inner))(content, draw)


def test_damaged_pictures(judge: Judge, folder: Path) -> None:
    healthy, place = pictures(), pairs(folder / "set")
    for number, (what, draw) in enumerate(inputs("pictures", FAMILIES["pictures"])):
        name = draw.choice(sorted(healthy))
        bad = hurt(name, healthy[name], draw)
        path = place / "rgb" / f"0{Path(name).suffix}"
        (place / "rgb" / "0.png").unlink(missing_ok=True)
        path.write_bytes(bad)
        told = f"{what}: {name}: {shown(bad)}"
        judge(told, "data", "check", "rgbd:set", "--json", "--quiet")
        if number % 4 == 0:
            judge(told, "data", "show", "rgbd:set", "--out", "sheet.png", "--quiet")
        if number % 3 == 0:
            judge(told, "eval", "constant", "--data", "folder:set/rgb,depths=set/depth", "--json", "--quiet")
        path.unlink()


def test_damaged_maps(judge: Judge, folder: Path) -> None:
    healthy, place = maps(), pairs(folder / "set")
    for number, (what, draw) in enumerate(inputs("maps", FAMILIES["maps"])):
        name = draw.choice(sorted(healthy))
        bad = hurt(name, healthy[name], draw)
        _judge_map(judge, f"{what}: {name}: {shown(bad)}", place, Path(name).suffix, bad, number)


_ODD = (np.nan, np.inf, -np.inf, -1, 0, 1e-45, 1e-8, 1e5, 1e10, 3e38, 1e300, 65504, 65535, 255, 2**31 - 1, 2**62)


def test_maps_of_any_values(judge: Judge, folder: Path) -> None:
    place = pairs(folder / "set")
    for number, (what, draw) in enumerate(inputs("values", FAMILIES["values"])):
        kind = draw.choice(("f2", "f4", "f8", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "?", "c8"))
        values = depth().astype("f8") * draw.choice((1, 1000, 1e-6, 1e9))
        with np.errstate(all="ignore"):
            for _ in range(draw.randint(1, 4)):
                odd = draw.choice(_ODD)
                if draw.random() < 0.3:
                    values[:] = odd
                values[: draw.randrange(24), draw.randrange(32) :] = odd
            stored, wide = values.astype(kind), values.astype("u2")
        form = draw.choice((".npy", ".npz", ".tif", ".png", ".pgm"))
        if form == ".npz":
            masks = draw.choice(
                ({}, {"valid": depth() > draw.choice((0, 3, 9))}, {"mask": stored}, {"invalid": values})
            )
            content = arrays(depth=stored, **masks)
        elif form == ".npy" or kind in ("?", "c8", "f2", "u8", "i8", "i1", "u4"):
            form, content = ".npy", array(stored)
        elif form == ".tif":
            content = encoded(stored if kind in ("u1", "u2", "f4", "i4") else wide, "TIFF")
        elif form == ".png":
            content = encoded(stored if kind in ("u1", "u2") else wide, "PNG")
        else:
            content = b"P5 32 24 65535\n" + wide.astype(">u2").tobytes()
        told = f"{what}: {form} of {kind}: {stored.ravel()[:8].tolist()} ... {shown(content)}"
        _judge_map(judge, told, place, form, content, number)


def _judge_map(judge: Judge, told: str, place: Path, ending: str, content: bytes, number: int) -> None:
    (place / "depth" / "0.png").unlink(missing_ok=True)
    path = place / "depth" / f"0{ending}"
    path.write_bytes(content)
    judge(told, "data", "check", "rgbd:set", "--json", "--quiet")
    if number % 2:
        judge(
            told,
            "eval",
            "constant",
            "--data",
            "rgbd:set",
            "--json",
            "--quiet",
            "--csv",
            "rows.csv",
            "--align",
            ("none", "median", "scale-shift")[number % 3],
        )
    elif number % 6 == 0:
        judge(told, "data", "show", "folder:set/rgb,depths=set/depth", "--out", "sheet.png", "--over", "--quiet")
    path.unlink()


def test_damaged_masks(judge: Judge, folder: Path) -> None:
    """Validity masks beside depth, and object ids."""
    place = pairs(folder / "set")
    (place / "ids").mkdir()
    ids = (millimetres() // 700).astype(np.uint8)
    valid = ((depth() > 2) * 255).astype(np.uint8)
    healthy = {
        "ids.png": encoded(ids, "PNG"),
        "colours.png": encoded(photo() // 128 * 128, "PNG"),
        "valid.npy": array(valid),
        "valid.png": encoded(valid, "PNG"),
        "ids.tif": encoded(ids.astype(np.uint16), "TIFF"),
    }
    for what, draw in inputs("masks", FAMILIES["masks"]):
        name = draw.choice(sorted(healthy))
        bad = hurt(name, healthy[name], draw)
        told, ending = f"{what}: {name}: {shown(bad)}", Path(name).suffix
        if name.startswith("valid"):
            path, spec = place / "depth" / f"0_mask{ending}", "folder:set/rgb,depths=set/depth"
        else:
            path, spec = place / "ids" / f"0{ending}", "folder:set/rgb,instances=set/ids,void=255"
        path.write_bytes(bad)
        judge(told, "data", "check", spec, "--json", "--quiet")
        judge(told, "data", "show", spec, "--out", "sheet.png", "--quiet")
        path.unlink()


def test_predictions_of_damaged_pictures(judge: Judge, folder: Path) -> None:
    healthy = pictures()
    for what, draw in inputs("predicted", FAMILIES["predicted"]):
        name = draw.choice(sorted(healthy))
        bad = hurt(name, healthy[name], draw)
        (folder / name).write_bytes(bad)
        judge(
            f"{what}: {name}: {shown(bad)}",
            "predict",
            "teacher:demo",
            name,
            "--out",
            "maps",
            "--size",
            "32x64",
            "--format",
            "both",
            "--json",
        )
        shutil.rmtree("maps", ignore_errors=True)
        (folder / name).unlink()
