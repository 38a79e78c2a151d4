"""Pictures for the documents out of models, films and point clouds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import kdcli
from kdcli.colour import colourise, limits_of
from kdcli.predict import look

ROOMS = "sim:rooms,seed=1000,size=256x384"
"""Held-out scenes of the default, in the shape in which they were measured, and larger."""
SCENES = (3, 5, 7, 17, 26)
"""Furnished ones, chosen before any model was shown them."""
WIDTH, GAP, MARGIN = 180, 6, 92
"""Columns of a picture, between two of them, and of what stands on the left."""
VIEW = (240, 360)
SIDES = ((-35, 12), (35, 20))
"""Degrees to the left and from above from which a cloud is seen."""


def of_rooms(run: Path) -> Image.Image:
    """Return scenes as columns: photograph, teacher's depth, student's depth, in one range of colours."""
    source = kdcli.load_source(ROOMS)
    samples = [source[i] for i in SCENES]
    models = {"teacher": kdcli.load_model("teacher:demo"), "student": kdcli.load_model(run)}
    limits = limits_of(torch.stack([one.depth for one in samples]), None)
    rows = {"photograph": [one.image for one in samples]}
    for name, model in models.items():
        said = [look(model, one.image) for one in samples]
        rows[f"{name}'s\ndepth"] = [colourise(one.depth, one.valid, limits=limits) for one in said]
    height = round(WIDTH * samples[0].image.shape[-2] / samples[0].image.shape[-1])
    page = Image.new("RGB", (MARGIN + len(SCENES) * (WIDTH + GAP), len(rows) * (height + GAP) - GAP), "white")
    draw = ImageDraw.Draw(page)
    for i, (title, pictures) in enumerate(rows.items()):
        top = i * (height + GAP)
        draw.text((0, top + height / 2), title, fill="black", anchor="lm", font=ImageFont.load_default(15))
        for k, one in enumerate(pictures):
            page.paste(_image(one).resize((WIDTH, height), Image.Resampling.LANCZOS), (MARGIN + k * (WIDTH + GAP), top))
    return page


def of_film(path: Path, count: int = 3) -> Image.Image:
    """Return frames of a film, spread evenly, below one another."""
    import av

    with av.open(str(path)) as film:
        frames = [frame.to_image() for frame in film.decode(video=0)]
    return joined([frames[i * len(frames) // count] for i in range(count)], down=True)


def of_cloud(path: Path) -> list[Image.Image]:
    """Return a PLY file of kdcli's as seen from both sides."""
    head, _, body = path.read_bytes().partition(b"end_header\n")
    assert b"format binary_little_endian" in head
    points = np.frombuffer(body, [("xyz", "<f4", 3), ("rgb", "u1", 3)])
    return [_seen(points["xyz"], points["rgb"], *side) for side in SIDES]


def _seen(xyz: np.ndarray, rgb: np.ndarray, aside: float, above: float) -> Image.Image:
    """Return points as a camera sees them that was carried about their middle."""
    middle = np.median(xyz, axis=0)
    a, b = np.deg2rad(aside), np.deg2rad(above)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    far = 1.25 * np.linalg.norm(middle)
    x, y, z = ((xyz - middle) @ (tilt @ turn).T - (0, 0, far)).T
    focal = VIEW[1]
    column = np.round(VIEW[1] / 2 + focal * x / -z).astype(int)
    row = np.round(VIEW[0] / 2 - focal * y / -z).astype(int)
    canvas = np.full((*VIEW, 3), 255, np.uint8)
    order = np.argsort(z)  # the nearest are painted last, four pixels each
    r = (row[order, None] + (0, 0, 1, 1)).ravel()
    c = (column[order, None] + (0, 1, 0, 1)).ravel()
    inside = (r >= 0) & (r < VIEW[0]) & (c >= 0) & (c < VIEW[1])
    canvas[r[inside], c[inside]] = rgb[order].repeat(4, axis=0)[inside]
    return Image.fromarray(canvas)


def joined(pictures: Sequence[Image.Image], *, down: bool = False) -> Image.Image:
    """Return pictures of one size beside or below one another."""
    width, height = pictures[0].size
    across, along = (0, height + GAP) if down else (width + GAP, 0)
    count = len(pictures) - 1
    page = Image.new("RGB", (width + count * across, height + count * along), "white")
    for i, one in enumerate(pictures):
        page.paste(one, (i * across, i * along))
    return page


def _image(picture_3HW: torch.Tensor) -> Image.Image:
    return Image.fromarray((picture_3HW.permute(1, 2, 0) * 255).round().byte().numpy())
