"""``ibims:ROOT``: iBims-1, a hundred rooms with masks, edges and planes, as pictures or as MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.images import StoredDepth
from kdcli.protocols import API_VERSION
from kdcli.rasters import Element, Place, file_of
from kdcli.rasters.elements import read_element
from kdcli.rasters.matlab import fields_of
from kdcli.sources.listing import list_files
from kdcli.sources.lists import existing_root
from kdcli.sources.paired import PairSource
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.ibims_files import CALIBRATION, PLANES, camera_in, normals_in, read_map
from kdcli.sources.sets.sixteen import distance, sixteen_bits
from kdcli.sources.texts.numbers import check_camera, read_lines
from kdcli.sources.validity import read_mask
from kdcli.types import Geometry

_RAW, _MAT = "ibims1_core_raw", "ibims1_core_mat"


class IbimsSource(PairSource):
    """Images of ``ibims1_core_mat`` or ``ibims1_core_raw``, whichever ROOT is or holds.

    The first has a file ``NAME.mat`` an image, the second folders ``rgb``, ``depth`` and more and a list of names.
    form: which, where ROOT holds both; by default the MATLAB files, which also have the planes' normals. Depth is none
    where ``mask_invalid`` or ``mask_transp`` is 0, as in the set's own evaluation. ``geometry(index)`` gives edges and
    planes. max_depth: metres beyond which depth is none. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "ibims"
    domain = "indoor"
    usual_median = (0.5, 30.0)

    def __init__(
        self, *, location: str, form: Literal["auto", "raw", "mat"] = "auto", max_depth: float | None = None,
        start: int = 0, stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        self.form, self.base = _found(root, form)
        self.codec = CODECS["ibims-mat" if self.form == "mat" else "ibims"]
        self.furthest = distance(max_depth)
        pairs = _of_mat(self.base) if self.form == "mat" else _of_pictures(self.base)
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(pairs, selection=selection, scale=None, where=location)

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Read the depth of an image as it is stored.

        Raises:
            DataError: missing, broken, or a picture of 8 bits.
        """
        assert pair.depth is not None
        return sixteen_bits(super().stored(pair, size), pair.depth, self.name)

    def metres(self, pair: Pair, stored: StoredDepth) -> tuple[Tensor, Tensor]:
        """Return depth in metres and where it is valid, 1 x H x W; the mask of what lets light through is taken off."""
        assert pair.depth is not None
        depth, valid = super().metres(pair, stored)
        place = self._place(pair, "mask_transp")
        if place is not None:
            valid = valid & read_mask(place, (depth.shape[-2], depth.shape[-1]), pair.depth)
            depth = depth * valid
        return depth, valid

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the calibration of an image; None where it is missing.

        Raises:
            DataError: it cannot be read.
        """
        place = self._place(pair, CALIBRATION)
        if isinstance(place, Element):
            # MATLAB files hold the matrix turned over; picture folders the numbers or the matrix.
            return check_camera(camera_in(read_element(place), place), f"'{place}'")
        return None if place is None else _text_camera(file_of(place))

    def geometry(self, index: int) -> Geometry:
        """Return the depth edges and the planes of an image, as far as its form has them: pictures lack the normals.

        Raises:
            DataError: one of them cannot be read.
        """
        pair = self.pairs[index]
        place = self._place(pair, "edges")
        edges = None if place is None else torch.from_numpy(read_map(place) != 0)
        planes = []
        for kind in PLANES:
            mask, rows = self._place(pair, f"mask_{kind}"), self._place(pair, f"mask_{kind}_paras")
            if mask is None or not isinstance(rows, Element):
                continue
            here, normals = read_map(mask), normals_in(read_element(rows), rows)
            planes += [(torch.from_numpy(here == j), torch.from_numpy(normal)) for j, normal in enumerate(normals, 1)]
        return Geometry(edges=edges, planes=tuple(planes))

    def _place(self, pair: Pair, name: str) -> Place | None:
        """Return where a part of an image is; None where its form or this image does not have it."""
        path = file_of(pair.image)
        if self.form == "mat":
            return Element(path, f"data.{name}") if name in fields_of(path, "data") else None
        ending = ".txt" if name == CALIBRATION else ".png"
        place = self.base / name / f"{path.stem}{ending}"
        return place if place.is_file() else None


def _found(root: Path, form: str) -> tuple[Literal["raw", "mat"], Path]:
    """Return which form is meant and where it is."""
    mats = [base for base in (root / _MAT, root) if base.is_dir() and list_files(base, {".mat"})]
    raws = [base for base in (root / _RAW, root) if (base / "rgb").is_dir() and (base / "depth").is_dir()]
    if mats and form != "raw":
        return "mat", mats[0]
    if raws and form != "mat":
        return "raw", raws[0]
    wanted = {"raw": "rgb/ beside depth/", "mat": "NAME.mat"}.get(form, "NAME.mat and no rgb/ beside depth/")
    raise DataError(f"'{root}' has no {wanted}; give the folder {_RAW} or {_MAT}, or the one that holds them")


def _of_mat(base: Path) -> list[Pair]:
    return [
        Pair(
            id=path.stem, image=Element(path, "data.rgb"), depth=Element(path, "data.depth"),
            mask=Element(path, "data.mask_invalid"),
        )
        for path in list_files(base, {".mat"})
    ]


def _of_pictures(base: Path) -> list[Pair]:
    path = base / "imagelist.txt"
    if path.is_file():
        words = (line.strip() for line in read_lines(path, "names of images, one a line"))
        names = [word.removesuffix(".png") for word in words if word]
    else:
        names = [image.stem for image in list_files(base / "rgb", {".png"})]
    if not names:
        raise DataError(f"'{base}' has an empty imagelist.txt or no PNG in rgb/; download it again")
    mask = (base / "mask_invalid").is_dir()
    return [
        Pair(
            id=name, image=base / "rgb" / f"{name}.png", depth=base / "depth" / f"{name}.png",
            mask=base / "mask_invalid" / f"{name}.png" if mask else None,
        )
        for name in names
    ]


def _text_camera(path: Path) -> tuple[float, float, float, float]:
    """Return the camera of ``calib/NAME.txt``: fx, fy, cx, cy, or a matrix of 3 x 3 in either order."""
    words = " ".join(read_lines(path, "numbers of a camera")).replace(",", " ").replace(";", " ").split()
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) == 4:
        return check_camera(tuple(map(float, numbers)), f"'{path}'")
    if len(numbers) < 9:
        raise DataError(f"'{path}' holds neither fx, fy, cx, cy nor a 3 x 3 matrix; download it again")
    return check_camera(camera_in(numbers[:9].reshape(3, 3), path), f"'{path}'")
