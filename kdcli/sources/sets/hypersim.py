"""``hypersim:ROOT``: Hypersim, rendered rooms with object ids, as published or as Marigold processed them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from kdcli.codecs import CODECS
from kdcli.errors import ConfigError, DataError
from kdcli.images import Picture, StoredDepth
from kdcli.protocols import API_VERSION
from kdcli.rasters import Element, Place
from kdcli.rasters.hdf5 import read_hdf5
from kdcli.sources.lists import existing_root
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.frames import SetSource, told
from kdcli.sources.sets.hypersim_tree import SPLITS, find_splits, find_tree, read_splits
from kdcli.sources.sets.tonemap import tone_mapped
from kdcli.types import Finding

FOCAL, WIDTH = 886.81, 1024
"""Pixels of focal length at that width, of all cameras but the few that are tilted or shifted."""
_KEY = "dataset"
_NOTHING = -1
"""Id of what no ray hit, and of what has no id."""


class HypersimSource(SetSource):
    """Frames ``SCENE/images/scene_cam_NN_final_preview/frame.NNNN.tonemap.jpg`` with depth from ``geometry_hdf5``.

    image: ``preview`` or ``hdr``, the linear colours of ``final_hdf5`` with the tone map of the preview; by default
    the preview where a camera has one. Depth, which is stored as the length of rays, becomes depth along the optical
    axis by one camera for all; it is none where it is no number and where ``render_entity_id`` is -1. Object ids are
    those of ``semantic_instance``. Marigold's processed frames ``[SPLIT/]SCENE/rgb_cam_NN_frNNNN.png`` with
    ``depth_plane_cam_NN_frNNNN.png`` are found too. split: by the table ``splits`` (in ROOT or beside it), or the
    folder of the processed form. max_depth: metres beyond which depth is none. start, stop, every, count, seed: as in
    ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "hypersim"
    domain = "indoor"
    usual_median = (0.1, 50.0)
    codec = CODECS["hypersim"]
    void = _NOTHING

    def __init__(
        self, *, location: str, split: Literal["train", "val", "test"] | None = None, splits: str | None = None,
        image: Literal["preview", "hdr"] | None = None, max_depth: float | None = None, start: int = 0,
        stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        apart = split is not None and (root / split).is_dir()
        base = root / str(split) if apart else root
        self._tree = find_tree(base, image)
        self._base = f"{base}/"
        if not self._tree.frames:
            wanted = f" (image={image})" if image else ""
            raise DataError(
                f"'{base}' has no ai_VVV_NNN/images/scene_cam_NN_final_preview with geometry_hdf5{wanted}, and no "
                "ai_VVV_NNN/rgb_cam_NN_frNNNN.png with depth_plane; give the folder that holds the scenes"
            )
        names, notes = self._tree.frames, self._about()
        self._tree.frames, self._tree.bare = [], []  # the names are kept by the frames
        if split is not None and not apart:
            names, more = _of_split(names, split, find_splits(root, splits), location)
            notes += more
        if self._tree.processed:
            self.codec = CODECS["millimetres"]
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(names, selection=selection, where=location, max_depth=max_depth, notes=notes)

    def _about(self) -> list[Finding]:
        bare = (str(self.pair(name).image) for name in self._tree.bare)
        return told("warning", bare, "images have no depth and are left out", "download their geometry_hdf5")

    def _path(self, name: str, kind: str, file: str) -> Path:
        scene, camera, number = name.split("/")
        return Path(f"{self._base}{scene}/images/scene_{camera}_{kind}/frame.{number}.{file}")

    def pair(self, name: str) -> Pair:
        """Return the files of a frame."""
        scene, camera, number = name.split("/")
        if self._tree.processed:
            end = f"{camera}_fr{number}.png"
            image, depth = (Path(f"{self._base}{scene}/{kind}_{end}") for kind in ("rgb", "depth_plane"))
            return Pair(id=name, image=image, depth=depth)
        where = f"{scene}/{camera}"
        colours: Place = self._path(name, "final_preview", "tonemap.jpg")
        if where in self._tree.hdr:
            colours = Element(self._path(name, "final_hdf5", "color.hdf5"), _KEY)
        ids = self._path(name, "geometry_hdf5", "semantic_instance.hdf5") if where in self._tree.ids else None
        return Pair(
            id=name, image=colours, depth=Element(self._path(name, "geometry_hdf5", "depth_meters.hdf5"), _KEY),
            instances=None if ids is None else Element(ids, _KEY),
        )  # fmt: skip

    def has(self, part: Literal["depth", "instances"]) -> bool:
        """Whether there are files of this part."""
        return part == "depth" or bool(self._tree.ids)

    def picture(self, pair: Pair) -> Picture:
        """Read a photograph, or make it of linear colours.

        Raises:
            DataError: missing or broken.
        """
        if not isinstance(pair.image, Element):
            return super().picture(pair)
        linear = read_hdf5(pair.image)
        if linear.ndim != 3 or linear.shape[-1] != 3 or linear.dtype.kind != "f":
            shape = "x".join(map(str, linear.shape))
            raise DataError(f"'{pair.image}' holds {linear.dtype} of shape {shape}, not colours; download it again")
        hit = self._hit(pair, (linear.shape[0], linear.shape[1]))
        valid = np.isfinite(linear).all(axis=2)
        return Picture(image=torch.from_numpy(tone_mapped(linear, valid if hit is None else valid & hit)))

    def metres(self, pair: Pair, stored: StoredDepth) -> tuple[Tensor, Tensor]:
        """Return depth along the optical axis in metres and where it is valid, 1 x h x w.

        Raises:
            DataError: the ids of what rays hit are broken or of another size.
        """
        depth, valid = super().metres(pair, stored)
        hit = self._hit(pair, (int(depth.shape[-2]), int(depth.shape[-1])))
        if hit is not None:
            valid = valid & torch.from_numpy(hit)[None]
            depth = depth * valid
        return depth, valid

    def _hit(self, pair: Pair, size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None:
        """Return where a ray hit anything, height x width, or None where no file tells."""
        if self._tree.processed:
            return None
        path = self._path(pair.id, "geometry_hdf5", "render_entity_id.hdf5")
        if not path.is_file():
            return None
        ids = read_hdf5(Element(path, _KEY))
        if ids.shape != size:
            raise DataError(f"'{path}' holds {'x'.join(map(str, ids.shape))} ids for {size[0]}x{size[1]} pixels; "
                            "download it again")
        return np.asarray(ids != _NOTHING)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float]:
        """Return fx, fy, cx, cy in pixels of an image of this size."""
        focal = FOCAL * width / WIDTH
        return focal, focal, (width - 1) / 2, (height - 1) / 2

    def map_camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float]:
        """Return the same of a depth map: it is known for any size, and the size of linear colours costs reading."""
        return self.camera(pair, height, width)


def _of_split(names: list[str], split: str, table: Path | None, where: str) -> tuple[list[str], list[Finding]]:
    """Return the frames of a split, and how many of it are not on disk.

    Raises:
        ConfigError: nothing tells the splits, or none of the frames is of it.
    """
    if table is None:
        raise ConfigError(
            f"split={split}: '{where}' has neither a folder {split} nor {SPLITS} in or beside it; download that from "
            "Hypersim's repository (evermotion_dataset/analysis) or give splits=FILE"
        )
    wanted = frozenset(read_splits(table, split))
    kept = [name for name in names if name in wanted]
    if not kept:
        raise ConfigError(f"split={split}: none of its {len(wanted)} frames in '{table}' is in '{where}'; unpack some")
    if len(kept) == len(wanted):
        return kept, []
    message = f"{len(kept)} of the {len(wanted)} frames of split={split} in '{table}' are in '{where}'"
    return kept, [Finding(level="info", message=message, path=str(table))]
