"""``kitti-object:ROOT``: KITTI's object set, whose depth is a sweep of the laser scanner, projected into the image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.images import StoredDepth
from kdcli.protocols import API_VERSION
from kdcli.rasters import file_of, must_exist
from kdcli.sources.lists import existing_root
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.by_rule import names_below, pairs_by_rule
from kdcli.sources.sets.kitti_calibration import Matrix, camera_of_projection, matrix, read_matrices
from kdcli.sources.sets.sixteen import distance

_CAMERAS = {"left": "2", "right": "3"}
_POINT = np.dtype("<f4")


class KittiObjectSource(PairSource):
    """Frames of ``{training,testing}/{image_2,velodyne,calib}/NNNNNN`` with sparse depth.

    Points go through P2 * R0_rect * Tr_velo_to_cam; a pixel's index is the rounded coordinate less one, as in the
    devkit; of several points in a pixel the nearest is kept, and depth is the third coordinate. camera: ``left`` is
    ``image_2``, ``right`` is ``image_3``. max_depth: metres beyond which depth is left out. Labels are boxes, no maps
    of objects, and are not used. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "kitti-object"
    domain = "driving"
    usual_median = (1.0, 80.0)
    codec = CODECS["metres"]

    def __init__(
        self, *, location: str, camera: Literal["left", "right"] = "left", max_depth: float | None = None,
        start: int = 0, stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root, left = existing_root(location), LeftOut()
        self._camera = _CAMERAS[camera]
        image = re.compile(rf"((?:.*/)?)image_{self._camera}/(\d+)\.(?:png|jpg)")

        def sweep(name: str) -> list[str] | None:
            match = image.fullmatch(name)
            return None if match is None else [f"{match[1]}velodyne/{match[2]}.bin"]

        names = names_below(root, {".png", ".jpg", ".bin"})
        pairs = pairs_by_rule(
            root, names, sweep, left=left, depths=lambda name: "velodyne/" in name,
            wanted=f"training/image_{self._camera}/NNNNNN.png",
        )
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=None, where=location, notes=left.findings())
        self.furthest = distance(max_depth)

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Project the sweep of a pair into its image; size: height and width of that.

        Raises:
            DataError: sweep or calibration are missing or broken.
        """
        assert pair.depth is not None
        path = _calibration(pair)
        points = read_points(file_of(pair.depth))
        depth = project(points, self._projection(path, read_matrices(path)), size)
        return StoredDepth(values=torch.from_numpy(depth), valid=torch.from_numpy(depth > 0), bits=0)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the rectified camera of the frame, or None where it has no calibration.

        Raises:
            DataError: the calibration cannot be read.
        """
        path = _calibration(pair)
        if not path.is_file():
            return None
        return camera_of_projection(matrix(read_matrices(path), (f"P{self._camera}",), (3, 4), path), path)

    def _projection(self, path: Path, known: Mapping[str, Matrix]) -> Matrix:
        """Return the matrix of 3 x 4 from the scanner to pixels."""
        rectify, place = np.eye(4), np.eye(4)
        rectify[:3, :3] = matrix(known, ("R0_rect", "R_rect"), (3, 3), path)
        place[:3] = matrix(known, ("Tr_velo_to_cam", "Tr_velo_cam"), (3, 4), path)
        product: Matrix = matrix(known, (f"P{self._camera}",), (3, 4), path) @ rectify @ place
        return product


def read_points(path: Path) -> Matrix:
    """Read a sweep: x, y, z of each point in metres, N x 3; the reflectance is left out.

    Raises:
        DataError: missing, or not a whole number of points.
    """
    must_exist(path)
    if (length := path.stat().st_size) % (4 * _POINT.itemsize):
        raise DataError(f"'{path}' has {length} bytes, which is no whole number of points of 16; download it again")
    return np.fromfile(path, _POINT).reshape(-1, 4)[:, :3].astype(np.float64)


def project(points: Matrix, projection: Matrix, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the depth of the nearest point in each pixel, H x W, 0 where there is none."""
    height, width = size
    points = points[np.isfinite(points).all(axis=1)]
    u, v, z = projection @ np.concatenate([points, np.ones((len(points), 1))], axis=1).T
    u, v, z = (one[z > 0] for one in (u, v, z))
    x, y = np.round(u / z) - 1, np.round(v / z) - 1
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y, z = x[inside].astype(np.int64), y[inside].astype(np.int64), z[inside]
    nearest = np.full((height, width), np.inf)
    np.minimum.at(nearest, (y, x), z)
    return np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)


def _calibration(pair: Pair) -> Path:
    image = file_of(pair.image)
    return image.parent.parent / "calib" / f"{image.stem}.txt"
