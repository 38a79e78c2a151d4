"""``eth3d:ROOT``: ETH3D's high-resolution photographs with laser scans, as they are unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.images import StoredDepth
from kdcli.protocols import API_VERSION
from kdcli.rasters import Place, file_of, open_place
from kdcli.rasters.places import size_of
from kdcli.sources.listing import natural_key
from kdcli.sources.lists import existing_root
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.colmap import Colmap, read_colmap
from kdcli.sources.sets.frames import SetSource, names_in, told
from kdcli.types import Finding

IMAGES, DEPTHS, CAMERAS = "images/dslr_images", "ground_truth_depth/dslr_images", "dslr_calibration_jpg"
_BASES = {
    "jpg": ("", "{}_dslr_jpg/", "rgb/"),
    "depth": ("", "{}_dslr_depth/", "depth/", "depth/{}_dslr_depth/"),
}
"""Where the folder of a scene may be: all archives in one place, each in its own, or apart as Marigold has them."""


class Eth3dSource(SetSource):
    """Photographs ``SCENE/images/dslr_images/NAME.JPG`` with ``SCENE/ground_truth_depth/dslr_images/NAME.JPG``.

    The second is no photograph, but floats of the photograph's size without a header. Both are distorted, as they were
    taken; undistorted photographs have no depth. The archives may be unpacked in one folder, or each in one of its
    name. scenes: only those, set off by ``+``. max_depth: metres beyond which depth is none. start, stop, every, count,
    seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "eth3d"
    usual_median = (0.5, 100.0)
    codec = CODECS["eth3d"]

    def __init__(
        self, *, location: str, scenes: str | None = None, max_depth: float | None = None, start: int = 0,
        stop: int | None = None, every: int = 1, count: int | None = None, seed: int | None = None,
    ) -> None:
        root = existing_root(location)
        images, depths = (_scenes(root, part, folder) for part, folder in (("jpg", IMAGES), ("depth", DEPTHS)))
        if not images:
            raise DataError(_nothing(root))
        wanted = sorted(images, key=natural_key) if scenes is None else scenes.split("+")
        absent = [scene for scene in wanted if scene not in images]
        if absent:
            raise DataError(f"'{root}' has no scene '{absent[0]}'; it has {', '.join(sorted(images))}")
        self._of = {scene: (images[scene], depths[scene]) for scene in wanted if scene in depths}
        self._cameras: dict[str, Colmap | None] = {}
        names, notes = self._scan({scene: images[scene] for scene in wanted}, root)
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        super().__init__(names, selection=selection, where=location, max_depth=max_depth, notes=notes)

    def _scan(self, images: dict[str, Path], root: Path) -> tuple[list[str], list[Finding]]:
        """Return the photographs that have depth, and what else there is."""
        names, bare = list[str](), list[Path]()
        for scene, folder in images.items():
            maps = names_in(self._of[scene][1] / DEPTHS) if scene in self._of else frozenset()
            for image in sorted(names_in(folder / IMAGES), key=natural_key):
                if image.lower().endswith(".jpg"):
                    if image in maps:
                        names.append(f"{scene}/{image}")
                    else:
                        bare.append(folder / IMAGES / image)
        if not names:
            raise DataError(f"'{root}' has photographs and no SCENE/{DEPTHS}/NAME.JPG; unpack SCENE_dslr_depth.7z too")
        remedy = "unpack SCENE_dslr_depth.7z of their scenes too"
        return names, told("warning", bare, "photographs have no depth and are left out", remedy)

    def pair(self, name: str) -> Pair:
        """Return the files of a photograph."""
        scene, image = name.split("/")
        images, depths = self._of[scene]
        return Pair(id=name, image=images / IMAGES / image, depth=depths / DEPTHS / image)

    def stored(self, pair: Pair, size: tuple[int, int]) -> StoredDepth:
        """Read the depth of a photograph of this height and width.

        Raises:
            DataError: as of ``PairSource``, or it is really a photograph.
        """
        if pair.depth is not None:
            refuse_photograph(pair.depth, size)
        return super().stored(pair, size)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return fx, fy, cx, cy in pixels of the scene's calibration, without its distortion, or None where unknown.

        Raises:
            DataError: the calibration is there and not of COLMAP's form.
        """
        scene, image = pair.id.split("/")
        if scene not in self._cameras:
            self._cameras[scene] = read_colmap(self._of[scene][0] / CAMERAS)
        colmap = self._cameras[scene]
        return None if colmap is None else colmap.camera(image, height, width)


def refuse_photograph(depth: Place, size: tuple[int, int]) -> None:
    """Refuse a file that is a photograph where floats of an image of this height and width should be.

    Raises:
        DataError: it is one.
    """
    wanted = 4 * size[0] * size[1]
    if not file_of(depth).is_file() or size_of(depth) == wanted:
        return
    with open_place(depth) as stream:
        if stream.read(3) == b"\xff\xd8\xff":
            raise DataError(
                f"'{depth}' is a JPEG of {size_of(depth)} bytes, not depth, which would be {wanted} bytes of floats "
                f"for {size[1]}x{size[0]} (width x height); unpack SCENE_dslr_depth.7z again"
            )


def _scenes(root: Path, part: str, folder: str) -> dict[str, Path]:
    """Return the folders of scenes by name that hold one of the two kinds of files."""
    found: dict[str, Path] = {}
    for place in _BASES[part]:
        before, named, after = place.partition("{}")
        if not named:
            candidates = [(name, root / place / name) for name in names_in(root / place)]
        else:
            ending = after.rstrip("/")
            archives = [name for name in names_in(root / before) if name.endswith(ending)]
            candidates = [(n.removesuffix(ending), root / before / n / n.removesuffix(ending)) for n in archives]
        for scene, path in sorted(candidates):
            if (path / folder).is_dir():
                found.setdefault(scene, path)
    if not found and (root / folder).is_dir():  # the folder of one scene
        found[root.resolve().name] = root
    return found


def _nothing(root: Path) -> str:
    undistorted = sorted(root.glob("*/images/dslr_images_undistorted")) or [
        path for path in (root / "images" / "dslr_images_undistorted",) if path.is_dir()
    ]
    if undistorted:
        return (
            f"'{undistorted[0]}' holds undistorted photographs, which have no depth; unpack SCENE_dslr_jpg.7z, whose "
            "photographs are as they were taken"
        )
    return f"'{root}' has no SCENE/{IMAGES}; give the folder into which the archives SCENE_dslr_jpg.7z were unpacked"
