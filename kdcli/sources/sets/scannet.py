"""``scannet:ROOT``: ScanNet, scans of rooms by a depth camera, as exported frames or as ``.sens`` files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from kdcli.cameras import resize_camera
from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.images import StoredDepth
from kdcli.protocols import API_VERSION
from kdcli.rasters import Member, Place
from kdcli.sources.checks.paths import LISTED
from kdcli.sources.listing import folders_in
from kdcli.sources.lists import existing_root
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.numbered import chosen, scenes_of
from kdcli.sources.sets.scannet_poses import about_poses
from kdcli.sources.sets.scannet_scans import Exported, Recorded, Scans, recorded_by_path
from kdcli.sources.sets.sixteen import distance, sixteen_bits
from kdcli.sources.texts.numbers import read_camera
from kdcli.types import Finding

_LIST = "scannetv2_{}.txt"
_CAMERAS = ("intrinsic/intrinsic_color.txt", "intrinsics_color.txt", "intrinsic_color.txt")
_COLOUR = (968, 1296)
"""Height and width of the colour camera, which its intrinsics are of."""


class ScanNetSource(PairSource):
    """Frames ``SCENE/color/N.jpg`` with ``SCENE/depth/N.png``, or those of ``SCENE/SCENE.sens``; ROOT holds scenes.

    Frames belong together that have the same number, with leading zeros or without. form: ``frames`` or ``sens``; by
    default exported frames where a scene has them. split: the scenes of ``scannetv2_SPLIT.txt``, in ROOT or beside it;
    list: of another list of scenes. Colour is 1296 x 968 and depth 640 x 480, which stays so: an evaluation brings
    predictions to the size of the depth. Object ids are those of ``SCENE_2d-instance-filt.zip`` where it is unpacked in
    the scene. Poses are not read. max_depth: metres beyond which depth is none. start, stop, every, count, seed: as in
    ``Selection``.
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
        known = _scenes(root, form)
        if not known:
            raise DataError(_nothing(root, form))
        places, notes = chosen(known, wanted, location)
        self.furthest = distance(max_depth)
        self._cameras: dict[Path, tuple[float, float, float, float] | None] = {}
        left = LeftOut()
        scans = [Recorded(path) if path.suffix == ".sens" else Exported(path, left) for path in places]
        if not any(map(len, scans)):
            raise DataError(f"'{root}' has no color/N.jpg with depth/N.png of one number; give the folder of scenes")
        self._recorded: Mapping[Path, Recorded] = recorded_by_path(scans)
        self._ids = any(scan.has_ids for scan in scans)
        frames = Scans(scans)
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        frames.choose(selection.positions(len(frames), location))
        super().__init__(frames, selection=None, scale=None, where=location, notes=[*left.findings(), *notes])

    def has(self, part: Literal["depth", "instances"]) -> bool:
        """Whether there is any file of this part; frames need not be looked for."""
        return part == "depth" or self._ids

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Read the depth of a frame as it is stored.

        Raises:
            DataError: missing, broken, or a picture of 8 bits.
        """
        assert pair.depth is not None
        if isinstance(pair.depth, Member):
            return self._recorded[pair.depth.archive].stored(pair.depth)
        return sixteen_bits(super().stored(pair, size), pair.depth, self.name)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the colour camera of the scan, scaled to the image.

        Raises:
            DataError: a file of it that cannot be read.
        """
        if isinstance(pair.image, Member):
            head = self._recorded[pair.image.archive].file.head
            camera: tuple[float, float, float, float] | None = head.camera
            full = head.colour
        else:
            camera, full = self._exported(pair.image), _COLOUR
        if camera is None or (height, width) == full:
            return camera
        # Who makes the images smaller mostly leaves the file of the camera as it is.
        if abs(2 * camera[2] / width - 1) < abs(2 * camera[2] / full[1] - 1):
            return camera
        return resize_camera(camera, full, (height, width))

    def _exported(self, image: Place) -> tuple[float, float, float, float] | None:
        assert isinstance(image, Path)
        folder = image.parent.parent
        if folder not in self._cameras:
            path = next((folder / name for name in _CAMERAS if (folder / name).is_file()), None)
            self._cameras[folder] = None if path is None else read_camera(path)
        return self._cameras[folder]

    def remarks(self) -> Sequence[Finding]:
        """Say how the frames were found, which files end before their frames do, and where cameras were lost."""
        found = []
        for path, scan in self._recorded.items():
            if (cut := scan.file.cut_at()) is not None:
                message = f"'{path}' ends within frame {cut} of {len(scan)}, counted from 0; download it again"
                found.append(Finding(level="error", message=message, path=str(path)))
        more = f"{len(found) - LISTED} more files end before their last frame does"
        rest = [Finding(level="error", message=more)] if len(found) > LISTED else []
        return [*super().remarks(), *found[:LISTED], *rest, *about_poses(self.pairs)]


def _scenes(root: Path, form: str) -> dict[str, Path]:
    """Return where the scans of a root are, by name: a folder of exported frames, before a ``.sens`` file.

    They are the root itself, the folders in it, or those in ``scans``.
    """
    for folders in ([root], folders_in(root), [f for name in ("scans", "scans_test") for f in folders_in(root / name)]):
        found: dict[str, Path] = {}
        for folder in folders:
            if form != "sens" and (folder / "color").is_dir() and (folder / "depth").is_dir():
                found[folder.resolve().name] = folder
            elif form != "frames":
                found |= {path.stem: path for path in sorted(folder.glob("*.sens"))}
        if found:
            return found
    return {}


def _nothing(root: Path, form: str) -> str:
    wanted = {"frames": "color/N.jpg with depth/N.png", "sens": "SCENE.sens"}.get(
        form, "color/N.jpg with depth/N.png, nor SCENE.sens"
    )
    where = "in it, in its folders or in those of scans/"
    return f"'{root}' has no {wanted} {where}; give the folder that holds the scenes"
