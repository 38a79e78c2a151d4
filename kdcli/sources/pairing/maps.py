"""Maps beside images that a person names by a folder: which map is whose, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kdcli.errors import DataError
from kdcli.files import at_home
from kdcli.sources.encoding import Encoding
from kdcli.sources.instances import INSTANCE_SUFFIXES
from kdcli.sources.listing import list_files, read_json
from kdcli.sources.matching import by_name, match_names
from kdcli.sources.pairing.beside import by_ending, one_of_each, split_masks
from kdcli.sources.pairing.left_out import LeftOut, names
from kdcli.sources.pairing.unread import endings_of, not_read, unread_of
from kdcli.sources.roles import DEPTH_WORDS, INSTANCE_WORDS, Role, has_word, role_of
from kdcli.types import DepthKind, Finding

What = Literal["depths", "instances"]
_USUAL = Encoding()
_WORDS = {"depths": DEPTH_WORDS, "instances": INSTANCE_WORDS}
_CALLED = {"depths": "depth maps", "instances": "maps of object ids"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """Maps of images. images: what of the images is one. of, masks: the map of an image, the mask of a map."""

    images: list[Path]
    of: dict[Path, Path]
    masks: dict[Path, Path] = field(default_factory=dict)
    predicted: tuple[Path, ...] = ()
    """Depth maps that ``kdcli predict`` wrote."""


def find_maps(
    what: What, given: str, base: Path, images: Sequence[Path], recursive: bool, left: LeftOut,
    encoding: Encoding = _USUAL,
) -> Maps:
    """Return the maps in a folder, as written or below the folder of the images, whichever has maps of these images.

    The folder may be that of the images, hold it or lie in it: files that are maps are no images, and the other way
    round. encoding: of depth maps.

    Raises:
        DataError: no such folder, or none of its files is called like an image.
    """
    places = (base,) if given in (".", "./") else (at_home(given), base / given)
    folders = [path for path in dict.fromkeys(places) if path.is_dir()]
    if not folders:
        kind = "depth" if what == "depths" else "instance"
        raise DataError(f"{kind} folder '{given}' exists neither as written nor in '{base}'; check {what}=")
    errors = []
    for folder in folders:
        gone = LeftOut()
        try:
            maps = _maps(what, folder, base, images, recursive, gone, encoding)
        except DataError as error:
            errors.append(error)
            continue
        left.add(gone)
        return maps
    raise errors[0]


def _maps(
    what: What, folder: Path, base: Path, images: Sequence[Path], recursive: bool, left: LeftOut,
    encoding: Encoding,
) -> Maps:
    endings = encoding.endings if what == "depths" else INSTANCE_SUFFIXES
    own: list[Path] = []
    files = list_files(folder, None, recursive=recursive, own=own)
    # What a teacher predicted may be learned from, but only if somebody points at it.
    predicted = [path for path in own if what == "depths" and path.stem.endswith(".depth")]
    left.own += [path for path in own if path not in set(predicted)]
    kept, candidates = _apart(what, folder, base, images, files, disparity=encoding.disparity)
    candidates += predicted
    found = [path for path in candidates if path.suffix.lower() in endings]
    masks: dict[Path, Path] = {}
    if what == "depths":
        found, masks = split_masks(found, folder, left)
        left.unread += unread_of(candidates, found)
    hidden = {*masks.values(), *left.masks}
    kept = [path for path in kept if path not in hidden]
    groups, maps = by_name(kept, base), one_of_each(by_name(found, folder), left)
    also = INSTANCE_WORDS if what == "instances" else frozenset[str]()
    matched = match_names({name: paths[0] for name, paths in groups.items()}, maps, also=also)
    if not matched:
        raise _none(what, folder, list(maps.values()), left.unread, kept or images, endings)
    used = set(matched.values())
    left.depths += [path for path in maps.values() if path not in used and what == "depths"]
    if what == "depths":
        disparity = role_of(folder.name) is Role.DISPARITY
        called = [path for path in matched.values() if disparity or role_of(path.stem) is Role.DISPARITY]
        left.as_depth += [] if encoding.disparity else called
    left.masked[:] = [mask for path, mask in masks.items() if path in used]
    of = {image: path for name, path in matched.items() for image in groups[name]}
    return Maps(images=kept, of=of, masks=masks, predicted=tuple(path for path in predicted if path in used))


def _apart(
    what: What, folder: Path, base: Path, images: Sequence[Path], files: Sequence[Path], *, disparity: bool
) -> tuple[list[Path], list[Path]]:
    """Return which of the images are images, and which of the folder's files may be maps."""
    there, here = folder.resolve(), base.resolve()
    if there == here:
        called = {
            base / path.relative_to(folder) for path in files
            if has_word(path.stem, _WORDS[what]) or (disparity and role_of(path.stem) is Role.DISPARITY)
        }
        masks = [path for path in files if role_of(path.stem) is Role.MASK]  # some of the maps found here
        if not called:
            _, maps = by_ending(files)
            called, masks = {base / path.relative_to(folder) for path in maps}, []
        chosen = {*masks, *(path for path in files if base / path.relative_to(folder) in called)}
        return [path for path in images if path not in called], [path for path in files if path in chosen]
    if here in there.parents:  # maps that lie below the images' folder are no images
        inside = base / there.relative_to(here)
        return [path for path in images if inside not in path.parents], list(files)
    if there in here.parents:  # the other way round
        inside = folder / here.relative_to(there)
        return list(images), [path for path in files if inside not in path.parents]
    return list(images), list(files)


def about_predictions(predicted: Sequence[Path]) -> list[Finding]:
    """Say that depth maps are predictions, and of what kind where that is no depth in metres."""
    if not predicted:
        return []
    path = predicted[0]
    sidecar = read_json(path.with_name(path.stem.removesuffix(".depth") + ".json"))
    kind = str(sidecar.get("depth_kind"))[:40]
    said = f"{len(predicted)} depth maps are predictions of kdcli, not measurements: {names(predicted)}"
    if kind == DepthKind.METRIC:
        return [Finding(level="info", message=said, path=str(path))]
    return [Finding(level="warning", message=f"{said}; they are {kind}, which has no metres", path=str(path))]


def _none(
    what: What, folder: Path, maps: list[Path], unread: list[Path], images: Sequence[Path], endings: frozenset[str]
) -> DataError:
    if not maps and unread:
        return DataError(f"'{folder}': {not_read(unread)}")
    if not maps:
        held = endings_of(list_files(folder, None)) or "no file"
        return DataError(f"'{folder}' has no {_CALLED[what]} ({' '.join(sorted(endings))}); it holds {held}")
    more = f"; {len(unread)} {not_read(unread)}" if unread else ""
    return DataError(
        f"none of {len(maps)} {_CALLED[what]} in '{folder}', such as '{maps[0].name}', is named like an image "
        f"('{images[0].stem}'){more}"
    )
