"""The folders of teacher maps that TIE-KD's code reads: one 16-bit PNG an image, depth = value / 65535 * max_depth.

A file is named after the path of its image with ``_`` for ``/``: the components of KITTI's raw tree,
``2011_09_26_2011_09_26_drive_0002_sync_image_02_data_0000000005.png``, and those of NYU's, as ``.png``. Maps have the
size of the images that the teacher was shown: KITTI 352 x 1216 after the KB crop, NYU 480 x 640, of which training cuts
the border away.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from kdcli.cache.entry import OVERHEAD
from kdcli.cache.folder import read_manifest, refuse_other
from kdcli.cache.identity import CacheKey
from kdcli.cache.resize import resize_known
from kdcli.cache.shown import Shown
from kdcli.errors import ConfigError, DataError
from kdcli.files import atomic, sha256_of, write_json
from kdcli.images import opened
from kdcli.locks import for_a_moment
from kdcli.types import DepthKind
from kdcli.version import __version__

FORMAT = "kdcli.gt-kd/1"
MANIFEST = "kdcli.json"
"""Beside the maps that kdcli makes; the authors' code does not look at it."""
NOTE = "kdcli_image"
"""Text chunk of a map that kdcli made: sha256 of its image's pixels. Without one a changed image is not noticed."""
MOST = 65535
BORDER = ("nyu", (480, 640), slice(45, 472), slice(43, 608))
"""Source, size of its maps, and the rows and columns of them that belong to images whose border is cut away."""
MAX_DEPTHS = {"kitti": 80.0, "nyu": 10.0}
"""Metres of the greatest stored number, by source."""


class GtKdFolder:
    """A folder in the authors' layout.

    Only one that kdcli began, for images of the stage's size, is written; others are read, and brought to that size.
    """

    layout = "gt-kd"

    def __init__(self, path: Path, key: CacheKey, *, max_depth: float | None, source: str) -> None:
        """Look at what is there; nothing is written.

        Raises:
            ConfigError: a scale that nobody tells, a teacher without metric depth, or maps of another teacher.
        """
        self.path, self.key, self._source = path, key, source
        self.foreign = path.is_dir() and not (path / MANIFEST).is_file() and any(path.glob("*.png"))
        document = None if self.foreign else read_manifest(path, MANIFEST, FORMAT)
        made_at = key.size
        if document is not None:
            if "size" not in document["key"] or "max_depth" not in document:
                raise DataError(f"'{path / MANIFEST}' is damaged: it tells no size or no max_depth; delete it")
            height, width = document["key"]["size"]
            made_at = (height, width)
            refuse_other(path, replace(key, size=made_at), document)
        self.writable = not self.foreign and made_at == key.size
        self._digest = None if self.foreign else replace(key, size=made_at).digest
        told = None if document is None else float(document["max_depth"])
        far = max_depth or told or MAX_DEPTHS.get(source)
        if far is None or not far > 0:
            raise ConfigError(
                f"nobody says what 65535 means in '{path}': source '{source}' is neither kitti (80 m) nor nyu (10 m); "
                f"write gt-kd:{path},max_depth=METRES"
            )
        if told not in (None, far):
            raise ConfigError(f"'{path}' was made with max_depth={told:g}, not {far:g}; leave out max_depth")
        if key.kind is not DepthKind.METRIC:
            raise ConfigError(f"'{path}' holds metres, but teacher '{key.spec}' gives {key.kind}; use another layout")
        self.max_depth = far
        self._prefix: str | None = None
        self._names = frozenset(file.name for file in path.glob("*.png")) if not self.writable else frozenset()

    def look(self, image: Shown) -> Tensor:
        """Return an image's map at the key's size, H x W float32 metres, 0 where unknown.

        Raises:
            DataError: missing, broken, no 16-bit map, or of another size than the image.
        """
        path = self.file(image)
        if not path.is_file():
            raise DataError(
                f"'{self.path}' has no map of image '{image.id}' ('{path.name}'); make it with: kdcli cache --layout "
                "gt-kd, or use the images that it was made for"
            )
        with opened(path) as picture:
            if picture.mode not in ("I;16", "I;16B", "I;16L", "I"):
                raise DataError(f"'{path}' is a picture of mode {picture.mode}, not a map of 16 bits; make it again")
            values, pixels = np.array(picture).astype(np.float32), picture.info.get(NOTE, image.pixels)
        source, whole, rows, columns = BORDER
        if self._source == source and values.shape == whole and values[rows, columns].shape == image.size:
            values, pixels = values[rows, columns], image.pixels
        if values.shape != image.size:
            found, wanted = ("x".join(map(str, shape)) for shape in (values.shape, image.size))
            raise DataError(
                f"'{path}' is {found} but image '{image.id}' is {wanted}; read the images with the crop that the maps "
                "were made with (KITTI's are 352x1216)"
            )
        if pixels != image.pixels:
            raise DataError(f"'{path}' is the map of what image '{image.id}' was before; make it again")
        grid = torch.from_numpy(values * np.float32(self.max_depth / MOST))
        return resize_known(grid[None, None], self.key.size)[0, 0]

    def write(self, image: Shown, map_HW: Tensor) -> None:
        """Keep an image's map.

        Raises:
            DataError: depth beyond the greatest, or an image of another size. OSError: the disk.
        """
        if image.size != self.key.size:
            wanted, found = ("x".join(map(str, shape)) for shape in (image.size, self.key.size))
            raise DataError(
                f"maps of layout gt-kd have the size of their images: '{image.id}' is {wanted}, not {found}; "
                f"use --size {wanted}, or crop the images to one size"
            )
        grid = map_HW.detach().to("cpu", torch.float64)
        if float(grid.max()) > self.max_depth * 1.0001:
            raise DataError(
                f"the map of '{image.id}' reaches {float(grid.max()):.4g} m, beyond max_depth={self.max_depth:g}; "
                "give a greater one"
            )
        notes = PngImagePlugin.PngInfo()
        notes.add_text(NOTE, image.pixels)
        units = (grid / self.max_depth * MOST).round().clamp(1, MOST)
        with atomic(self.file(image)) as temporary:
            Image.fromarray(torch.where(grid > 0, units, 0).numpy().astype(np.uint16)).save(temporary, pnginfo=notes)

    def file(self, image: Shown) -> Path:
        """Return the file of an image's map."""
        return self.path / (self._find(image.id) or name_of(image.id))

    def has(self, name: str) -> bool:
        """Whether a folder that is only read has the map of an image's id."""
        return self._find(name) is not None

    def _find(self, name: str) -> str | None:
        """Return the name of a map of somebody else: that of the path, less leading components, or with a prefix.

        The authors' names begin at different components of the path, by where the data lay.
        """
        parts = Path(name.lstrip("/")).with_suffix(".png").parts
        for begin in range(len(parts)):
            if (found := "_".join(parts[begin:])) in self._names:
                return found
        whole = "_".join(parts)
        if self._prefix is None:
            ends = (known for known in sorted(self._names) if known.endswith(f"_{whole}"))
            self._prefix = next((known[: -len(whole)] for known in ends), None)
        found = f"{self._prefix or ''}{whole}"
        return found if found in self._names else None

    def done(self, data: str, count: int) -> dict[str, Any]:
        """Return how far a source is done; a folder that is only read keeps no account."""
        known = {} if not self.writable else self._manifest()["sources"].get(data, {})
        return dict(known) if known.get("count") == count else {"count": count, "done": 0, "sha256": ""}

    def note(self, data: str, row: dict[str, Any]) -> None:
        """Write down how far a source is done.

        Raises:
            ConfigError: by now the folder is of another key, which another process began at the same time.
        """
        if self.writable:
            self.path.mkdir(parents=True, exist_ok=True)
            with for_a_moment(self.path):
                document = self._manifest()
                refuse_other(self.path, self.key, document)
                document["sources"][data] = row
                write_json(self.path / MANIFEST, document)

    def bytes_for(self, count: int) -> int:
        """Return the most bytes that the maps of so many images take."""
        height, width = self.key.size
        return 0 if not self.writable else count * (2 * height * width + OVERHEAD)

    def document(self) -> dict[str, Any]:
        """Return what a run's manifest says of this cache."""
        manifest = self.path / MANIFEST
        return {
            "folder": str(self.path), "layout": self.layout, "max_depth": self.max_depth,
            "made_by_kdcli": not self.foreign, "key": self._digest,
            "teacher": self.key.spec, "size": list(self.key.size),
            "flip": None if self.foreign else self.key.flip, "storage": "png16",
            "manifest_sha256": sha256_of(manifest) if manifest.is_file() else None,
        }

    def _manifest(self) -> dict[str, Any]:
        return read_manifest(self.path, MANIFEST, FORMAT) or {
            "format": FORMAT, "digest": self.key.digest, "key": self.key.document(), "max_depth": self.max_depth,
            "versions": {"kdcli": __version__}, "sources": {},
        }


def name_of(name: str) -> str:
    """Return the file name that the authors' code looks for, from an image's path below the root of its data."""
    return "_".join(Path(name.lstrip("/")).with_suffix(".png").parts)
