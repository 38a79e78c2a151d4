"""The layouts of colour beside depth that recorders and benchmarks write, found below a folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kdcli.errors import DataError
from kdcli.images import DEPTH_SUFFIXES, IMAGE_SUFFIXES
from kdcli.sources.file_names import ending_of, name_of, prefix_of, stem_of, with_endings
from kdcli.sources.listing import folders_in, list_paths
from kdcli.sources.matching import below, by_name, match_names, match_times, twins
from kdcli.sources.pairing.associations import associated, stamped
from kdcli.sources.pairing.beside import by_ending, is_picture, one_of_each, split_masks
from kdcli.sources.pairing.left_out import LeftOut
from kdcli.sources.pairing.unread import endings_of, may_be_unread, not_read, unread_of
from kdcli.sources.roles import DEPTH_WORDS, WEAK_DEPTHS, WEAK_IMAGES, Role, called, has_word, role_of
from kdcli.sources.table.pair_table import PairTable, Rows
from kdcli.sources.texts.numbers import read_camera

TUM_SCALE = 5000.0
"""Units per metre in files of the TUM RGB-D benchmark."""

_COLOUR_FOLDERS = ("rgb", "color", "colour", "image", "images")
_DEPTH_FOLDERS = ("depth", "depths", "depth_map", "depth_maps")
_CAMERAS = ("camera-intrinsics.txt", "camera_intrinsics.txt", "intrinsics.txt")
_STAMP = re.compile(r"\d+\.\d+")
_READ = IMAGE_SUFFIXES | DEPTH_SUFFIXES
_LEVELS = 8
"""How deep scenes may lie: TartanAir has four folders above its images, SUN RGB-D up to six."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Frames of one folder: image and depth of each. masks: of depth maps that have one.

    scale: stored units per metre that the layout has; None: by the files' type.
    """

    pairs: list[tuple[str, str]]
    masks: Mapping[str, str] = field(default_factory=dict)
    scale: float | None = None


def find_pairs(folder: Path, root: Path, left: LeftOut) -> PairTable:
    """Return the pairs of a folder by the first layout that it has, else those of its sub-folders."""
    rows = Rows()
    _add(folder, root, left, _LEVELS, set(), rows)
    return rows.table()


def _add(folder: Path, root: Path, left: LeftOut, levels: int, seen: set[Path], rows: Rows) -> None:
    if (real := folder.resolve()) in seen:  # links may lead round
        return
    seen.add(real)
    within = folders_in(folder)
    for layout in _LAYOUTS:
        if (found := layout(folder, left)).pairs:
            left.elsewhere += [str(path) for path in within if role_of(path.name) is Role.NONE and _role_folders(path)]
            images, depths = ([pair[side] for pair in found.pairs] for side in (0, 1))
            base = prefix_of(root)
            ids: list[str] | int = len(base)
            if not all(path.startswith(base) for path in images):
                ids = [below(path, base) if path.startswith(base) else name_of(path) for path in images]
            rows.add(
                len(images), image=images, depth=depths, ids=ids,
                mask=[found.masks.get(path) for path in depths] if found.masks else None,
                scale=[found.scale] * len(images), intrinsics=[_camera(folder)] * len(images),
            )
            return
    if levels:
        for path in within:
            _add(path, root, left, levels - 1, seen, rows)


def _associated(folder: Path, left: LeftOut) -> Found:
    """Pairs of an association file: ``time file time file``, colour and depth in either order."""
    return Found(pairs=associated(folder), scale=TUM_SCALE)


def _stamped(folder: Path, left: LeftOut) -> Found:
    """Pairs of ``rgb.txt`` and ``depth.txt`` (``time file``) that are at most 0.02 s apart."""
    pairs, left_over, moved = stamped(folder)
    left.untimed += left_over
    left.moved += moved
    return Found(pairs=pairs, scale=TUM_SCALE)


def _parallel(folder: Path, left: LeftOut) -> Found:
    """Pairs of two folders, by name, or by time where the names are time stamps in seconds."""
    sides = _role_folders(folder)
    for number, (images, depths) in enumerate(sides, 1):
        gone = LeftOut()
        if (found := _of_folders(folder, images, depths, gone)).pairs or number == len(sides):
            left.add(gone)
            return found
    for path in folders_in(folder):  # half of a pair
        if (role := role_of(path.name)) is Role.DISPARITY:
            left.disparities.append(str(path))
        elif role is Role.IMAGE:
            left.images += list_paths(path, IMAGE_SUFFIXES)
        elif role is Role.DEPTH:
            left.depths += list_paths(path, DEPTH_SUFFIXES)
    return Found(pairs=[])


def _role_folders(folder: Path) -> list[tuple[list[Path], list[Path]]]:
    """Return which folders may hold the images and which the depth, the likeliest first; none without both."""
    below = folders_in(folder)
    exact = {path.name.lower(): path for path in below}
    colour = next((exact[name] for name in _COLOUR_FOLDERS if name in exact), None)
    depth = next((exact[name] for name in _DEPTH_FOLDERS if name in exact), None)
    roles = {path: role_of(path.name) for path in below}
    depths = [path for path, role in roles.items() if role is Role.DEPTH]
    images = [path for path, role in roles.items() if role is Role.IMAGE]
    images = images or [path for path in below if roles[path] is Role.NONE and has_word(path.name, WEAK_IMAGES)]
    truth = [path for path in below if roles[path] is Role.NONE and has_word(path.name, WEAK_DEPTHS)]
    depths = depths or (truth if len(truth) == 1 else [])
    if not images and depths and len(others := [path for path in below if roles[path] is Role.NONE]) == 1:
        images = others if list_paths(others[0], IMAGE_SUFFIXES) else []
    # Some keep the maps in a folder among the images, or the images in one among the maps.
    if depths and not images and list_paths(folder, IMAGE_SUFFIXES):
        images = [folder]
    if images and not depths and (files := list_paths(folder, DEPTH_SUFFIXES)):
        stems = {stem_of(path) for one in images for path in list_paths(one, IMAGE_SUFFIXES)}
        same = [path for path in files if stem_of(path) in stems]
        depths = [folder] if same and not is_picture(same[0]) else []
    if not images or not depths:
        return []
    likely = ([colour] if colour else images, [depth] if depth else depths)
    return [likely] if likely == (images, depths) else [likely, (images, depths)]


def _of_folders(folder: Path, image_folders: list[Path], depth_folders: list[Path], left: LeftOut) -> Found:
    """Pair the files of folders of images and of depth, all that lie below them."""
    single = len(image_folders) == len(depth_folders) == 1
    bases = (image_folders[0], depth_folders[0]) if single else (folder, folder)
    images, others, own = list[str](), list[str](), list[str]()
    for path in image_folders:
        images += list_paths(path, IMAGE_SUFFIXES, recursive=path != folder, own=left.own)
    for path in depth_folders:
        others += list_paths(path, None, recursive=path != folder, own=own)
    left.own += with_endings(own, DEPTH_SUFFIXES)
    files = with_endings(others, DEPTH_SUFFIXES)
    depths, masks = split_masks(files, prefix_of(bases[1]), left)
    unread = unread_of(others, depths) if len(files) < len(others) else []
    left.unread += unread
    left.masks += [str(path) for path in folders_in(folder) if role_of(path.name) is Role.MASK]
    for at, empty, endings in (
        (image_folders[0], not images, IMAGE_SUFFIXES), (depth_folders[0], not depths and not unread, DEPTH_SUFFIXES),
    ):  # fmt: skip
        if empty:
            held = endings_of(list_paths(at, None, recursive=True)) or "nothing"
            left.bare.append((str(at), f"holds {held}, no file ending in {' '.join(sorted(endings))}"))
    return _matched(images, depths, bases, masks, left)


def _matched(
    images: Sequence[str], depths: Sequence[str], bases: tuple[Path, Path], masks: dict[str, str], left: LeftOut
) -> Found:
    named, maps = by_name(images, prefix_of(bases[0])), one_of_each(by_name(depths, prefix_of(bases[1])), left)
    matched = match_names(named.first, maps)
    pairs = [(image, depth) for name, depth in matched.items() for image in named.of(name)]
    left.twins += twins([image for image, _ in pairs])
    scale = None
    if len(matched) < len(named.first) and (times := _times(images)) and (other_times := _times(list(maps.values()))):
        timestamped = list(maps.values())
        timed = [(images[i], timestamped[j]) for i, j in match_times(times, other_times)]
        if len(timed) > len(pairs):
            pairs, scale = timed, TUM_SCALE
    if not pairs and len(images) == len(maps) == 1:  # names of their own, but only one of each
        pairs = [(images[0], next(iter(maps.values())))]
    used = {path for pair in pairs for path in pair}
    (left.untimed if scale else left.images).extend(path for path in images if path not in used)
    left.depths += [path for path in maps.values() if path not in used]
    kept = {masks.get(path) for path in used} if left.masked else set()
    left.masked[:] = [mask for mask in left.masked if mask in kept]
    return Found(pairs=pairs, masks=masks, scale=scale)


def _times(paths: Sequence[str]) -> list[float]:
    """Return the time stamps that files are called by, none if one is not."""
    # A whole number counts frames.
    stems = [stem for path in paths if _STAMP.fullmatch(stem := stem_of(path))]
    return [float(stem) for stem in stems] if len(stems) == len(paths) else []


def _side_by_side(folder: Path, left: LeftOut) -> Found:
    """Pairs of files of one folder whose names differ in role words, as ``N.color.png`` and ``N.depth.png`` do."""
    gone = LeftOut()
    everything = list_paths(folder, None, own=gone.own)
    gone.own[:] = [path for path in gone.own if ending_of(path) != ".json"]
    files = with_endings(everything, _READ)
    named = {path for path in files if has_word(stem_of(path), DEPTH_WORDS)}
    maps = named.union(called(files, (Role.MASK,)))
    rest, masks = split_masks(
        [path for path in files if path in maps and ending_of(path) in DEPTH_SUFFIXES], prefix_of(folder), gone
    )
    depths = [path for path in rest if path in named]
    taken = {*named, *masks.values(), *gone.masks}
    images = [path for path in files if path not in taken and ending_of(path) in IMAGE_SUFFIXES]
    if depths:
        if disparities := set(called(images, (Role.DISPARITY,))):
            images = [path for path in images if path not in disparities]
    else:
        images, depths = by_ending(files)
    gone.unread = [path for path in everything if may_be_unread(path) and has_word(name_of(path), DEPTH_WORDS)]
    found = _matched(images, depths, (folder, folder), masks, gone)
    if not depths:
        may_be = [path for path in everything if ending_of(path) in DEPTH_SUFFIXES or may_be_unread(path)]
        gone.disparities = called(may_be, (Role.DISPARITY,))
        gone.images = [path for path in files if role_of(stem_of(path)) is Role.IMAGE]
    # Pictures of other kinds (normals, segments) lie beside many a set.
    gone.images = [path for path in gone.images if role_of(stem_of(path)) in (Role.IMAGE, Role.NONE)]
    left.add(gone)
    return found


_LAYOUTS: tuple[Callable[[Path, LeftOut], Found], ...] = (_associated, _stamped, _parallel, _side_by_side)


def _camera(folder: Path) -> tuple[float, float, float, float] | None:
    """Return fx, fy, cx, cy of a matrix in the folder or the one above."""
    paths = [where / name for where in (folder, folder.parent) for name in _CAMERAS]
    path = next((path for path in paths if path.is_file()), None)
    return None if path is None else read_camera(path)


def why_none(location: str, left: LeftOut) -> DataError:
    """Return the error for a folder without any pair, by what was seen in it."""
    where = f"'{location}' has no colour with depth"
    if left.unread:
        return DataError(f"{where} that can be read: {not_read(left.unread)}")
    if left.images and left.depths:
        return DataError(
            f"{where} that belong together: {len(left.images)} images such as '{left.images[0]}' and "
            f"{len(left.depths)} depth maps such as '{left.depths[0]}' have no name in common that is one map's alone; "
            "call each depth map as its image, or give folder:IMAGES,depths=DEPTHS"
        )
    if left.own:
        return DataError(
            f"{where} but what kdcli predict wrote, such as '{left.own[0]}'; to learn from predictions give "
            "folder:IMAGES,depths=PREDICTIONS"
        )
    if left.bare:
        return DataError(f"{where}: '{left.bare[0][0]}' {left.bare[0][1]}; give the folder that holds them")
    if left.disparities:
        return DataError(
            f"{where} but disparity, '{left.disparities[0]}'; depth in metres is focal length * baseline / disparity: "
            "give folder:IMAGES,depths=DIR,codec=disparity,focal_baseline=F"
        )
    if left.images or left.depths:
        have, lack = ("images", "depth map") if left.images else ("depth maps", "image")
        files = left.images or left.depths
        return DataError(
            f"{where}: {len(files)} {have} such as '{files[0]}' and no {lack}; call the folders rgb and depth, or the "
            "files N_rgb and N_depth, or give folder:IMAGES,depths=DEPTHS"
        )
    return DataError(
        f"{where}: neither associations.txt, nor folders rgb or color beside depth, nor files *.color.* with "
        "*.depth.*; give the folder that holds them"
    )
