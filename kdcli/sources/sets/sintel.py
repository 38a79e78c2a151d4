"""``sintel:ROOT``: MPI Sintel, a rendered film with depth and cameras."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.protocols import API_VERSION
from kdcli.rasters import file_of
from kdcli.sources.lists import existing_root
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.by_rule import names_below, pairs_by_rule
from kdcli.sources.sets.sixteen import distance
from kdcli.sources.texts.numbers import check_camera

_TAG = 202021.25
_SAMPLE = re.compile(r"((?:.*/)?)rgb\.png")


class SintelSource(PairSource):
    """Frames of ``training/{final,clean}/SEQUENCE/frame_NNNN.png`` with ``depth/*.dpt``, ``camdata_left/*.cam``.

    ``training`` may be called ``train``, or be ROOT. rendering: ``final`` with blur and fog, or ``clean``. Depth is in
    units of the film, which are taken for metres; sky is far. max_depth: metres beyond which depth is left out (70, 72
    and 100 are in use). Folders with ``rgb.png`` and ``gt_depth.npz``, in which single frames are handed on, are read
    too. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "sintel"
    codec = CODECS["sintel"]

    def __init__(
        self, *, location: str, rendering: Literal["final", "clean"] = "final", max_depth: float | None = None,
        start: int = 0, stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root, left = existing_root(location), LeftOut()
        # Frames of the test half have no depth, and are used only where ROOT is that half.
        frame = re.compile(rf"(?!(?:.*/)?test/)((?:.*/)?){rendering}/([^/]+/frame_\d+)\.(?:png|jpg)")
        names = names_below(root, {".png", ".jpg", ".dpt", ".npz"})

        def depth(name: str) -> list[str] | None:
            if match := frame.fullmatch(name):
                return [f"{match[1]}depth/{match[2]}.dpt"]
            match = _SAMPLE.fullmatch(name)
            return None if match is None else [f"{match[1]}gt_depth.npz"]

        pairs = pairs_by_rule(
            root, names, depth, left=left, depths=lambda name: name.endswith(".dpt"),
            wanted=f"training/{rendering}/SEQUENCE/frame_NNNN.png",
        )
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=None, where=location, notes=left.findings())
        self.furthest = distance(max_depth)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the camera of the frame, or None where its file is not there.

        Raises:
            DataError: the file cannot be read.
        """
        image = file_of(pair.image)
        # final/SEQUENCE/frame_0001.png
        path = image.parents[2] / "camdata_left" / image.parent.name / f"{image.stem}.cam"
        return read_cam(path) if path.is_file() else None


def read_cam(path: Path) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy of a file of Sintel: a tag, then a matrix of 3 x 3 as float64, all little-endian.

    Raises:
        DataError: another format.
    """
    content = path.read_bytes()
    if len(content) < 76 or struct.unpack("<f", content[:4])[0] != _TAG:
        raise DataError(f"'{path}' does not begin as Sintel's cameras do; download it again or remove it")
    matrix = np.frombuffer(content[4:76], "<f8").reshape(3, 3)
    fx, fy, cx, cy = (float(matrix[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return check_camera((fx, fy, cx, cy), f"'{path}'")
