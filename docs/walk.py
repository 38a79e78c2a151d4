"""Film a walk through a simulated room, as something to try ``kdcli predict`` on.

::

    python docs/walk.py WALK.mp4|FOLDER [FRAMES]

A folder gets one PNG a frame. A film needs PyAV (``pip install 'kdcli[video]'``). The room is scene 7 of
``sim:rooms,seed=1000``: the bundled teacher knows its like, and no student of the embedded default ever sees one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from kdcli.sources.sim.hashing import scene_keys
from kdcli.sources.sim.render import draw
from kdcli.sources.sim.rooms import rooms

SEED, SCENE = 1000, 7
SIZE = (240, 360)
FRAMES, RATE = 48, 12
FORWARD, ASIDE, TURN = 0.5, 0.5, 0.3
"""Metres and radians between the middle of the walk and its ends."""


def walk(frames: int = FRAMES, size: tuple[int, int] = SIZE) -> Iterator[Tensor]:
    """Give the pictures of a walk there and back, each 3 x H x W in 0..1."""
    scene = rooms(scene_keys("rooms", SEED, torch.tensor([SCENE])))
    yaw = scene.view.yaw_B
    ahead = torch.stack((yaw.sin(), torch.zeros(1), yaw.cos()), dim=1)
    right = torch.stack((yaw.cos(), torch.zeros(1), -yaw.sin()), dim=1)
    for i in range(frames):
        place = 2 * math.pi * i / frames
        step = FORWARD * (1 - math.cos(place)) / 2 * ahead + ASIDE * math.sin(place) * right
        view = replace(scene.view, position_B3=scene.view.position_B3 + step, yaw_B=yaw - TURN * math.sin(place))
        yield draw(replace(scene, view=view), size)[0][0]


def write(pictures: Iterable[Tensor], out: Path) -> None:
    """Write pictures as a film, or into a folder as one PNG each."""
    shown = [(one.permute(1, 2, 0) * 255).round().byte().numpy() for one in pictures]
    if out.suffix != ".mp4":
        from PIL import Image

        out.mkdir(parents=True, exist_ok=True)
        for i, one in enumerate(shown):
            Image.fromarray(one).save(out / f"{i:03}.png")
        return
    import av

    with av.open(str(out), "w") as film:
        stream = film.add_stream("h264", rate=Fraction(RATE), options={"crf": "18"})
        stream.height, stream.width, stream.pix_fmt = *shown[0].shape[:2], "yuv420p"
        for one in shown:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(one, format="rgb24")))
        film.mux(stream.encode())


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    write(walk(*map(int, sys.argv[2:])), Path(sys.argv[1]))
