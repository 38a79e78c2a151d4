"""``nyu:ROOT``: NYU Depth v2 as BTS and AdaBins have it, as the labelled MATLAB file, or as FastDepth's HDF5 files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from kdcli.codecs import CODECS
from kdcli.errors import DataError
from kdcli.files import at_home
from kdcli.images import IMAGE_SUFFIXES
from kdcli.protocols import API_VERSION
from kdcli.rasters import Element
from kdcli.sources.cuts import NYU_BORDER
from kdcli.sources.file_names import natural_order, prefix_of, with_endings
from kdcli.sources.listing import folders_in, list_paths
from kdcli.sources.lists import (
    LIST_PATTERN,
    Locator,
    about_lines,
    existing_root,
    find_list,
    listed_pairs,
    read_list,
    require_some,
)
from kdcli.sources.matching import by_name, match_names
from kdcli.sources.paired import PairSource
from kdcli.sources.pairing.beside import one_of_each
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairing.unread import may_be_unread
from kdcli.sources.pairs import Pair, Selection
from kdcli.sources.sets.nyu_forms import found_form, h5_pairs, labelled_pairs, objects
from kdcli.sources.sets.sixteen import distance
from kdcli.sources.table.pair_table import PairTable, Rows
from kdcli.types import Finding

if TYPE_CHECKING:
    from torch import Tensor

_TOOLBOX_CAMERA = (518.857901, 519.469611, 325.582449, 253.736166)
"""fx, fy, cx, cy of the colour camera at 640x480, from the data set's own toolbox."""


class NyuSource(PairSource):
    """Pairs of one of three forms, by what lies in ROOT, or as ``form`` says.

    ``bts``: pairs named by a list file (``rgb depth focal``), or found as ``rgb_N`` beside ``sync_depth_N``.

    list: list file, as written or below ROOT; a single ``*_files_with_gt.txt`` in ROOT is found by itself. split: which
    list or ``official_splits`` folder to use. Files are looked for in ROOT, ``sync`` and ``official_splits``. scale:
    stored units per metre, by default 1000.

    ``labelled``: ``nyu_depth_v2_labeled.mat`` in ROOT, or ROOT itself; split: that of ``splits.mat`` beside it. depth:
    ``filled`` (what evaluations use) or ``raw``, with holes. Object ids are the pairs of label and instance. Ids of
    items are their numbers, counted from 1.

    ``h5``: ``train/SCENE/N.h5`` or, with split=test, ``val/official/N.h5``.

    crop: ``border`` keeps rows 45 to 471 and columns 43 to 607 of 480 x 640, without the white frame. max_depth: metres
    beyond which depth is none. start, stop, every, count, seed: as in ``Selection``.
    """

    api_version: ClassVar[int] = API_VERSION
    name = "nyu"
    domain = "indoor"
    usual_median = (0.1, 10.0)

    def __init__(
        self, *, location: str, list: str | None = None, split: Literal["train", "test"] | None = None,
        crop: Literal["none", "border"] = "none", scale: float | None = None,
        form: Literal["auto", "bts", "labelled", "h5"] = "auto", depth: Literal["filled", "raw"] = "filled",
        max_depth: float | None = None, start: int = 0, stop: int | None = None, every: int = 1,
        count: int | None = None, seed: int | None = None,
    ) -> None:
        self.cut = NYU_BORDER if crop == "border" else None
        self.furthest = distance(max_depth)
        selection = Selection(start=start, stop=stop, every=every, count=count, seed=seed)
        self.form = found_form(location, form, list is not None or any(at_home(location).glob(LIST_PATTERN)))
        notes: Sequence[Finding] = ()
        if self.form != "bts":
            if self.form == "labelled":
                self.codec, items = CODECS["nyu-labelled"], labelled_pairs(location, split, depth)
            else:
                self.codec = CODECS["fastdepth"]
                items, notes = h5_pairs(location, split)
            super().__init__(items, selection=selection, scale=scale, where=location, notes=notes)
            return
        root = existing_root(location)
        path = find_list(root, list, split)
        bases = _bases(root, split)
        image_at = Locator(bases, endings=IMAGE_SUFFIXES)
        depth_at = Locator(bases, beside=image_at)
        lines = [] if path is None else read_list(path)
        left = LeftOut()
        pairs = _scan(bases, root, left) if path is None else listed_pairs(lines, image_at, depth_at)
        require_some(pairs, root, "list=FILE")
        notes = [*left.findings(), *about_lines(path, lines, (image_at, depth_at))]
        super().__init__(
            pairs, selection=selection, scale=1000.0 if scale is None else scale, where=location, notes=notes
        )

    def instances(self, pair: Pair) -> Tensor | None:
        """Return the object ids of an item of the labelled file.

        Raises:
            DataError: they cannot be read.
        """
        return objects(pair.instances) if isinstance(pair.instances, Element) else super().instances(pair)

    def camera(self, pair: Pair, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the toolbox's calibration for images of the sensor's size, else the focal length and image centre."""
        toolbox = pair.focal is None or abs(pair.focal - _TOOLBOX_CAMERA[0]) < 0.1
        if toolbox and (height, width) == (480, 640):
            return _TOOLBOX_CAMERA
        return super().camera(pair, height, width)


def _bases(root: Path, split: str | None) -> list[Path]:
    """Return the folders that paths of a list may be relative to; the most likely first."""
    splits = [split] if split else ["test", "train"]
    names = ["", "sync", *(f"official_splits/{name}" for name in splits), *splits]
    if split == "test":
        names = ["official_splits/test", "test", "", "sync"]
    return [root / name for name in names if (root / name).is_dir()]


def _scan(bases: list[Path], root: Path, left: LeftOut) -> PairTable:
    """Pair ``rgb_N.jpg`` with ``sync_depth_N.png`` in the first base that has any, itself or its scene folders.

    Raises:
        DataError: there is none.
    """
    for base in bases:
        pairs: list[tuple[str, str | None]] = []
        for folder in (base, *folders_in(base)):
            everything, within = list_paths(folder, None, own=left.own), prefix_of(folder)
            colour = [path for path in everything if path.startswith("rgb_", len(within))]
            maps = [path for path in everything if path.startswith("sync_depth_", len(within))]
            left.unread += filter(may_be_unread, maps)
            images = by_name(with_endings(colour, IMAGE_SUFFIXES), within)
            depths = one_of_each(by_name(with_endings(maps, {".png"}), within), left)
            matched = match_names(images.first, depths)
            left.twins += [(paths[0], other) for paths in images.several.values() for other in paths[1:]]
            used = set(matched.values())
            left.depths += [path for path in depths.values() if path not in used]
            pairs += [(image, matched.get(name)) for name in images.first for image in images.of(name)]
        if pairs:
            depth_of = dict(pairs)
            found, rows = natural_order(depth_of), Rows()
            rows.add(len(found), ids=len(prefix_of(root)), image=found, depth=[depth_of[path] for path in found])
            return rows.table()
    raise DataError(
        f"'{root}' has no list {LIST_PATTERN} and no rgb_N.jpg with sync_depth_N.png in it, sync/ or official_splits/; "
        "give list=FILE or the right folder"
    )
