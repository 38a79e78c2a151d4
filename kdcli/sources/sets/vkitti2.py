"""``vkitti2:ROOT``: Virtual KITTI 2, rendered drives in ten variations, however its archives were unpacked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal

from kdcli.cameras import resize_camera
from kdcli.codecs import CODECS
from kdcli.errors import ConfigError, DataError
from kdcli.files import at_home
from kdcli.protocols import API_VERSION
from kdcli.sources.listing import natural_key
from kdcli.sources.lists import existing_root
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.frames import SetSource, names_in, told
from kdcli.sources.texts.numbers import check_camera, check_number, number_of, read_lines
from kdcli.types import Finding

CAMERA = (725.0087, 725.0087, 620.5, 187.0)
"""fx, fy, cx, cy at 1242 x 375, of all frames; ``intrinsic.txt`` says it again for each."""
SIZE = (375, 1242)
SCENES = ("Scene01", "Scene02", "Scene06", "Scene18", "Scene20")
_NAME = re.compile(r"(Scene\d+)/([^/]+)/frames/rgb/(Camera_\d)/rgb_(\d+)\.jpg")
_ENDINGS = {"rgb": ("rgb", "jpg"), "depth": ("depth", "png"), "instanceSegmentation": ("instancegt", "png")}
"""Folder of a part -> how its files begin and end."""
_ARCHIVES = {"rgb": "rgb", "depth": "depth", "instanceSegmentation": "instanceSegmentation", "text": "textgt"}


class Vkitti2Source(SetSource):
    """Frames ``SceneNN/VARIATION/frames/rgb/Camera_N/rgb_NNNNN.jpg`` with depth, and ids of vehicles where they are.

    ROOT holds all archives unpacked into one another, or in ``vkitti_2.0.3_rgb``, ``vkitti_2.0.3_depth`` and so on, or
    in ``rgb`` and ``depth``. split: ``train`` leaves out the scenes of ``holdout``, ``val`` takes only them: variations
    of a frame are near copies, so that a scene is either in or out. list: file whose lines name the frames
    (``.../Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg ...``). scenes, variations, cameras: only those, set off by
    ``+``, such as ``variations=clone+fog``. sky: ``none``, or ``far`` for the 655.35 m that the files have there.
    max_depth: metres beyond which depth, also that of the sky, is none. start, stop, every, count, seed: as in
    ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "vkitti2"
    domain = "driving"
    usual_median = (2.0, 100.0)
    codec = CODECS["vkitti2"]

    def __init__(
        self, *, location: str, split: Literal["train", "val"] | None = None, holdout: str = "Scene20",
        list: str | None = None, scenes: str | None = None, variations: str | None = None, cameras: str | None = None,
        sky: Literal["none", "far"] = "none", max_depth: float | None = None, start: int = 0, stop: int | None = None,
        every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        self.sky = sky
        self._cameras: dict[str, dict[tuple[int, int], tuple[float, float, float, float]]] = {}
        self._bases = {part: f"{base}/" for part in _ARCHIVES if (base := _base(root, part)) is not None}
        if not {"rgb", "depth"} <= self._bases.keys():
            raise DataError(
                f"'{root}' has no Scene01/clone/frames/rgb and .../depth, neither in it nor in vkitti_2.0.3_rgb and "
                "vkitti_2.0.3_depth or rgb and depth; give the folder that holds them"
            )
        names, notes = self._scan()
        kept = {"scenes": scenes, "variations": variations, "cameras": cameras}
        names = _only(names, kept, location)
        if list is not None:
            names = _listed(names, list, root)
        if split is not None:
            # Also scenes that are not on this disk: then nothing of them is there to be held out.
            held = frozenset(_words("holdout", holdout, set(SCENES), location))
            names = [name for name in names if (name.partition("/")[0] in held) == (split == "val")]
        if not names:
            raise ConfigError(f"split={split} leaves no frame of '{location}'; give another split, list or holdout=")
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(names, selection=selection, where=location, max_depth=max_depth, notes=notes)

    def _scan(self) -> tuple[list[str], list[Finding]]:
        """Return the frames that have an image and depth, and what else there is."""
        names, bare = list[str](), list[str]()
        for scene in sorted(name for name in names_in(self._bases["rgb"]) if name.startswith("Scene")):
            for variation in sorted(names_in(self._bases["rgb"] + scene)):
                at = f"{scene}/{variation}"
                for camera in sorted(names_in(f"{self._bases['rgb']}{at}/frames/rgb")):
                    maps = names_in(f"{self._bases['depth']}{at}/frames/depth/{camera}")
                    for image in names_in(f"{self._bases['rgb']}{at}/frames/rgb/{camera}"):
                        number = image[4:-4]
                        if not (image.startswith("rgb_") and image.endswith(".jpg") and number.isdecimal()):
                            continue
                        name = f"{at}/{camera}/{number}"
                        (names if f"depth_{number}.png" in maps else bare).append(name)
        if not names:
            raise DataError(f"'{self._bases['rgb'][:-1]}' has no rgb_NNNNN.jpg with depth_NNNNN.png; unpack both")
        images = (self._file("rgb", name) for name in sorted(bare))
        notes = told("warning", images, "images have no depth map and are left out", "unpack the rest of it")
        return sorted(names, key=natural_key), notes

    def _file(self, part: str, name: str) -> str:
        at, camera, number = name.rsplit("/", 2)
        begin, end = _ENDINGS[part]
        return f"{self._bases[part]}{at}/frames/{part}/{camera}/{begin}_{number}.{end}"

    def pair(self, name: str) -> Pair:
        """Return the files of a frame."""
        ids = Path(self._file("instanceSegmentation", name)) if "instanceSegmentation" in self._bases else None
        return Pair(id=name, image=Path(self._file("rgb", name)), depth=Path(self._file("depth", name)), instances=ids)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float]:
        """Return fx, fy, cx, cy in pixels of an image of this size.

        Raises:
            DataError: ``intrinsic.txt`` is there and not of the form that it should have.
        """
        at, camera, number = pair.id.rsplit("/", 2)
        if "text" in self._bases and at not in self._cameras:
            self._cameras[at] = _cameras(f"{self._bases['text']}{at}/intrinsic.txt")
        own = self._cameras.get(at, {}).get((int(number), int(camera[-1])), CAMERA)
        return resize_camera(own, SIZE, (height, width))


def _base(root: Path, part: str) -> Path | None:
    """Return the folder that holds the scenes of a part, in the first of the three ways in which it can be there."""
    for base in (root, root / f"vkitti_2.0.3_{_ARCHIVES[part]}", root / _ARCHIVES[part]):
        for scene in sorted(name for name in names_in(base) if name.startswith("Scene")):
            for variation in sorted(names_in(base / scene)):
                where = base / scene / variation
                if (where / "intrinsic.txt").is_file() if part == "text" else (where / "frames" / part).is_dir():
                    return base
    return None


def _words(key: str, given: str, known: set[str], where: str) -> list[str]:
    """Return the words of an option, each of which is one of those known.

    Raises:
        ConfigError: it is not.
    """
    words = given.split("+")
    unknown = [word for word in words if word not in known]
    if unknown:
        raise ConfigError(f"{key}={given}: '{where}' has no '{unknown[0]}'; known are {', '.join(sorted(known))}")
    return words


def _only(names: list[str], kept: dict[str, str | None], where: str) -> list[str]:
    for level, (key, given) in enumerate(kept.items()):
        if given is not None:
            words = _words(key, given, {name.split("/")[level] for name in names}, where)
            names = [name for name in names if name.split("/")[level] in words]
    return names


def _listed(names: list[str], given: str, root: Path) -> list[str]:
    """Return the frames that a list names, in its order.

    Raises:
        DataError: there is no such list, a line names no frame, or one that is not there.
    """
    path = next((path for path in (at_home(given), root / given) if path.is_file()), None)
    if path is None:
        raise DataError(f"list '{given}' exists neither as written nor in '{root}'; check the path")
    there, chosen = set(names), []
    for number, line in enumerate(read_lines(path, "lines of SceneNN/VARIATION/frames/rgb/Camera_N/rgb_NNNNN.jpg"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _NAME.search(line)
        name = "/".join(match.groups()) if match else None
        if name not in there:
            said = f"names {name}, which is not in '{root}'" if name else "names no frame of Virtual KITTI 2"
            raise DataError(f"'{path}' line {number} {said}; unpack it or correct the list")
        chosen.append(name)
    return chosen


def _cameras(path: str) -> dict[tuple[int, int], tuple[float, float, float, float]]:
    """Return fx, fy, cx, cy by frame and camera of an ``intrinsic.txt``; none where there is no such file."""
    if not Path(path).is_file():
        return {}
    cameras: dict[tuple[int, int], tuple[float, float, float, float]] = {}
    for number, line in enumerate(read_lines(Path(path), "'frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]'"), 1):
        values = [number_of(word) for word in line.split()]
        if not values or (number == 1 and None in values):
            continue
        numbers = [value for value in values if value is not None]
        if len(numbers) != 6 or len(values) != 6:
            raise DataError(f"'{path}' line {number} is not 'frame cameraID fx fy cx cy'; unpack it again")
        where = f"'{path}' line {number}"
        frame, camera = (int(check_number(value, (0, 1e9), "the number", where)) for value in numbers[:2])
        cameras[frame, camera] = check_camera(numbers[2:], where)
    return cameras
