"""``scannet:ROOT``: ScanNet, scans of rooms by a depth camera, as exported frames or as ``.sens`` files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.images import StoredDepth
from kdcli.protocols import API_VERSION
from kdcli.rasters import Member, Place
from kdcli.sources.listing import folders_in
from kdcli.sources.lists import existing_root
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.numbered import chosen, numbered, scenes_of
from kdcli.sources.sets.scannet_sens import Scans, ids_folder, stored_in
from kdcli.sources.sets.sixteen import distance, sixteen_bits
from kdcli.sources.texts.numbers import read_camera
from kdcli.types import Finding

_LIST = "scannetv2_{}.txt"
_CAMERAS = ("intrinsic/intrinsic_color.txt", "intrinsics_color.txt", "intrinsic_color.txt")
_COLOUR = (968, 1296)
"""Height and width of the colour camera, which its intrinsics are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A scan. sens: its ``.sens`` file; None = exported frames."""

    name: str
    folder: Path
    sens: Path | None = None


class ScanNetSource(PairSource):
    """Frames ``SCENE/color/N.jpg`` with ``SCENE/depth/N.png``, or those of ``SCENE/SCENE.sens``; ROOT holds scenes.

    Frames belong together that have the same number, with leading zeros or without. form: ``frames`` or ``sens``; by
    default exported frames where ROOT has any. split: the scenes of ``scannetv2_SPLIT.txt``, in ROOT or beside it;
    list: of another list of scenes. Colour is 1296 x 968 and depth 640 x 480, which stays so:
    an evaluation brings predictions to the size of the depth. Object ids are those of ``SCENE_2d-instance-filt.zip``
    where it is unpacked in the scene. Poses are not read. max_depth: metres beyond which depth is none. start, stop,
    every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "scannet"
    domain = "indoor"
    usual_median = (0.3, 8.0)
    codec = CODECS["millimetres"]

    def __init__(
        self, *, location: str, form: Literal["auto", "frames", "sens"] = "auto",
        split: Literal["train", "val", "test"] | None = None, list: str | None = None,
        max_depth: float | None = None, start: int = 0, stop: int | None = None, every: int = 1,
        count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        wanted = scenes_of(root, list, split, _LIST)
        known = {scene.name: scene for scene in _scenes(root, form)}
        scenes, notes = chosen(known, wanted, location) if known else ([], [])
        if not scenes:
            raise DataError(_nothing(root, form))
        self.furthest = distance(max_depth)
        self._cameras: dict[Path, tuple[float, float, float, float] | None] = {}
        self._scans: Scans | None = None
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        if scenes[0].sens is None:
            left = LeftOut()
            frames = [pair for scene in scenes if scene.sens is None for pair in _frames(scene, left)]
            if not frames:
                raise DataError(f"'{root}' has no color/N.jpg with depth/N.png of one number; give the folder of "
                                "scenes")
            super().__init__(frames, selection=selection, scale=None, where=location, notes=[*left.findings(), *notes])
            return
        self._scans = Scans([(scene.name, scene.sens) for scene in scenes if scene.sens is not None])
        self._scans.choose(selection.apply(range(len(self._scans)), location))
        super().__init__(self._scans, selection=None, scale=None, where=location, notes=notes)

    def has(self, part: Literal["depth", "instances"]) -> bool:
        """Whether there is any file of this part; frames of ``.sens`` files need not be looked for."""
        if self._scans is None:
            return super().has(part)
        return part == "depth" or self._scans.any_ids

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Read the depth of a frame as it is stored.

        Raises:
            DataError: missing, broken, or a picture of 8 bits.
        """
        assert pair.depth is not None
        if self._scans is not None and isinstance(pair.depth, Member):
            return stored_in(self._scans.file_of(pair.depth), pair.depth)
        return sixteen_bits(super().stored(pair, size), pair.depth, self.name)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the colour camera of the scan, scaled to the image.

        Raises:
            DataError: a file of it that cannot be read.
        """
        if self._scans is not None and isinstance(pair.image, Member):
            head = self._scans.file_of(pair.image).head
            camera: tuple[float, float, float, float] | None = head.camera
            full = head.colour
        else:
            camera, full = self._exported(pair.image), _COLOUR
        if camera is None or (height, width) == full:
            return camera
        # Who makes the images smaller mostly leaves the file of the camera as it is.
        if abs(2 * camera[2] / width - 1) < abs(2 * camera[2] / full[1] - 1):
            return camera
        across, down = width / full[1], height / full[0]
        return camera[0] * across, camera[1] * down, camera[2] * across, camera[3] * down

    def _exported(self, image: Place) -> tuple[float, float, float, float] | None:
        assert isinstance(image, Path)
        folder = image.parent.parent
        if folder not in self._cameras:
            path = next((folder / name for name in _CAMERAS if (folder / name).is_file()), None)
            self._cameras[folder] = None if path is None else read_camera(path)
        return self._cameras[folder]

    def remarks(self) -> Sequence[Finding]:
        """Say how the frames were found, and which files end before their frames do."""
        return [*super().remarks(), *(self._scans.findings() if self._scans is not None else ())]


def _scenes(root: Path, form: str) -> list[Scene]:
    """Return the scans of a root: itself, the folders in it, or those in ``scans``; exported frames before files."""
    for folders in ([root], folders_in(root), [f for name in ("scans", "scans_test") for f in folders_in(root / name)]):
        exported = [
            Scene(name=folder.resolve().name, folder=folder) for folder in folders
            if (folder / "color").is_dir() and (folder / "depth").is_dir()
        ]
        if exported and form != "sens":
            return exported
        files = [path for folder in folders for path in sorted(folder.glob("*.sens"))]
        if files and form != "frames":
            return [Scene(name=path.stem, folder=path.parent, sens=path) for path in files]
    return []


def _frames(scene: Scene, left: LeftOut) -> list[Pair]:
    """Return the frames of a scan that have colour and depth, by number."""
    colour, depth = scene.folder / "color", scene.folder / "depth"
    images, maps = numbered(colour, {".jpg", ".jpeg", ".png"}, left), numbered(depth, {".png"}, left)
    ids_at = ids_folder(scene.folder)
    ids = {} if ids_at is None else numbered(ids_at, {".png"}, left)
    left.images += [colour / name for number, name in images.items() if number not in maps]
    left.depths += [depth / name for number, name in maps.items() if number not in images]
    return [
        Pair(
            id=f"{scene.name}/{number}", image=colour / name, depth=depth / maps[number],
            instances=None if ids_at is None or number not in ids else ids_at / ids[number],
        )
        for number, name in images.items() if number in maps
    ]


def _nothing(root: Path, form: str) -> str:
    wanted = {"frames": "color/N.jpg with depth/N.png", "sens": "SCENE.sens"}.get(
        form, "color/N.jpg with depth/N.png, nor SCENE.sens"
    )
    where = "in it, in its folders or in those of scans/"
    return f"'{root}' has no {wanted} {where}; give the folder that holds the scenes"
