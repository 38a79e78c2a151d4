"""``diode:ROOT``: DIODE, laser scans indoors and outdoors, as it is unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from kdcli.cameras import resize_camera
from kdcli.codecs import CODECS
from kdcli.errors import ConfigError, DataError
from kdcli.protocols import API_VERSION
from kdcli.sources.listing import folders_in, natural_key
from kdcli.sources.lists import existing_root
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.frames import SetSource, names_in, told
from kdcli.types import Finding

CAMERA = (886.81, 927.06, 512.0, 384.0)
"""fx, fy, cx, cy of all images at 1024 x 768, as UniDepth has them (``datasets/diode.py``)."""
SIZE = (768, 1024)
_PLACES = {"indoors": "indoors", "outdoor": "outdoor", "outdoors": "outdoor"}
"""Folders, of which the set calls one in the plural and one in the singular."""

_UNMASKED = "\t"
"""What stands behind the name of a frame without a mask."""


class DiodeSource(SetSource):
    """Frames ``{train,val}/{indoors,outdoor}/scene_N/scan_N/NAME.png`` with ``NAME_depth.npy`` and its mask.

    ROOT holds train and val, or is one of them. split: which. part: ``indoors`` or ``outdoor`` alone. Depth is none
    where ``NAME_depth_mask.npy`` is 0, unless masked=false, by which some tables are made. max_depth: metres beyond
    which it is none too. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "diode"
    codec = CODECS["metres"]

    def __init__(
        self, *, location: str, split: Literal["train", "val"] | None = None,
        part: Literal["indoors", "outdoor"] | None = None, masked: bool = True, max_depth: float | None = None,
        start: int = 0, stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        self._masked = masked
        self._base = f"{_split_folder(existing_root(location), split)}/"
        names, notes = self._scan(part)
        if part == "indoors":
            self.domain = "indoor"
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(names, selection=selection, where=location, max_depth=max_depth, notes=notes)

    def _scan(self, part: str | None) -> tuple[list[str], list[Finding]]:
        """Return the frames that have depth, and what else there is."""
        places = [name for name in sorted(names_in(self._base)) if name in _PLACES and part in (None, _PLACES[name])]
        names, bare = list[str](), list[str]()
        scenes = [scene for place in places for scene in folders_in(Path(self._base, place))]
        for scan in (scan for scene in scenes for scan in folders_in(scene)):
            there = names_in(scan)
            at = f"{scan}/".removeprefix(self._base)
            for image in there:
                stem = image.removesuffix(".png")
                if stem == image:
                    continue
                if f"{stem}_depth.npy" not in there:
                    bare.append(f"{self._base}{at}{image}")
                    continue
                names.append(at + stem if f"{stem}_depth_mask.npy" in there else f"{at}{stem}{_UNMASKED}")
        if not names:
            raise DataError(
                f"'{self._base[:-1]}' has no scene_N/scan_N/NAME.png with NAME_depth.npy in indoors or outdoor"
                f"{f' (part={part})' if part else ''}; give the folder that holds train and val"
            )
        names.sort(key=natural_key)
        notes = told("warning", sorted(bare), "images have no NAME_depth.npy and are left out", "download the rest")
        masks = (f"{self._base}{name[:-1]}_depth.npy" for name in names if name.endswith(_UNMASKED))
        return names, notes + told(
            "warning", masks, "depth maps have no NAME_depth_mask.npy, without which what the scanner did not reach "
            "counts", "unpack the masks too",
        )  # fmt: skip

    def pair(self, name: str) -> Pair:
        """Return the files of a frame."""
        bare = not self._masked or name.endswith(_UNMASKED)
        mask = None if bare else Path(f"{self._base}{name}_depth_mask.npy")
        name = name.removesuffix(_UNMASKED)
        path = self._base + name
        return Pair(id=name, image=Path(f"{path}.png"), depth=Path(f"{path}_depth.npy"), mask=mask)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float]:
        """Return fx, fy, cx, cy in pixels of an image of this size."""
        return resize_camera(CAMERA, SIZE, (height, width))


def _split_folder(root: Path, split: str | None) -> Path:
    """Return the folder of a split: below the root, or the root where that is one."""
    there = [name for name in ("train", "val") if (root / name).is_dir()]
    if not there and names_in(root) & _PLACES.keys():
        return root
    if split is None and len(there) > 1:
        raise ConfigError(f"'{root}' has train and val; write split=train or split=val")
    if split is not None and split not in there:
        raise DataError(f"'{root}' has no folder {split}{f', only {there[0]}' if there else ''}; unpack it there")
    if not there:
        raise DataError(f"'{root}' has no folder train or val; give the folder that holds them")
    return root / (split or there[0])
