"""Maps beside images that a person names by a folder: which map is whose, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kdcli.errors import DataError
from kdcli.files import at_home
from kdcli.sources.encoding import Encoding
from kdcli.sources.file_names import name_of, prefix_of, stem_of, with_endings
from kdcli.sources.instances import INSTANCE_SUFFIXES
from kdcli.sources.listing import list_paths, read_json
from kdcli.sources.matching import by_name, match_names
from kdcli.sources.pairing.beside import by_ending, one_of_each, split_masks
from kdcli.sources.pairing.left_out import LeftOut, names
from kdcli.sources.pairing.unread import endings_of, not_read, unread_of
from kdcli.sources.roles import DEPTH_WORDS, INSTANCE_WORDS, Role, called, has_word, role_of
from kdcli.text import agreeing
from kdcli.types import DepthKind, Finding

What = Literal["depths", "instances"]
_USUAL = Encoding()
_WORDS = {"depths": DEPTH_WORDS, "instances": INSTANCE_WORDS}
_CALLED = {"depths": "depth maps", "instances": "maps of object ids"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """Maps of images. images: what of the images is one. of, masks: the map of an image, the mask of a map."""

    images: list[str]
    of: dict[str, str]
    masks: dict[str, str] = field(default_factory=dict)
    predicted: tuple[str, ...] = ()
    """Depth maps that ``kdcli predict`` wrote."""


def find_maps(
    what: What, given: str, base: Path, images: Sequence[str], recursive: bool, left: LeftOut,
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
    what: What, folder: Path, base: Path, images: Sequence[str], recursive: bool, left: LeftOut, encoding: Encoding
) -> Maps:
    endings = encoding.endings if what == "depths" else INSTANCE_SUFFIXES
    own: list[str] = []
    files = list_paths(folder, None, recursive=recursive, own=own)
    # What a teacher predicted may be learned from, but only if somebody points at it.
    predicted = [path for path in own if what == "depths" and stem_of(path).endswith(".depth")]
    left.own += [path for path in own if path not in set(predicted)]
    kept, candidates = _apart(what, folder, base, images, files, disparity=encoding.disparity)
    candidates += predicted
    found = with_endings(candidates, endings)
    masks: dict[str, str] = {}
    root = prefix_of(folder)
    if what == "depths":
        found, masks = split_masks(found, root, left)
        left.unread += unread_of(candidates, found) if len(found) < len(candidates) else []
    if hidden := {*masks.values(), *left.masks}:
        kept = [path for path in kept if path not in hidden]
    named, maps = by_name(kept, prefix_of(base)), one_of_each(by_name(found, root), left)
    also = INSTANCE_WORDS if what == "instances" else frozenset[str]()
    matched = match_names(named.first, maps, also=also)
    if not matched:
        raise _none(what, folder, list(maps.values()), left.unread, kept or images, endings)
    used = set(matched.values())
    if what == "depths":
        left.depths += [path for path in maps.values() if path not in used]
        disparity = role_of(folder.name) is Role.DISPARITY
        told = list(matched.values()) if disparity else called(list(matched.values()), (Role.DISPARITY,))
        left.as_depth += [] if encoding.disparity else told
    left.masked[:] = [mask for path, mask in masks.items() if path in used]
    of = {named.first[name]: path for name, path in matched.items()}
    of |= {image: matched[name] for name, images in named.several.items() if name in matched for image in images}
    return Maps(images=kept, of=of, masks=masks, predicted=tuple(path for path in predicted if path in used))


def _apart(
    what: What, folder: Path, base: Path, images: Sequence[str], files: Sequence[str], *, disparity: bool
) -> tuple[list[str], list[str]]:
    """Return which of the images are images, and which of the folder's files may be maps."""
    there, here = folder.resolve(), base.resolve()
    if there == here:
        root, among = len(prefix_of(folder)), prefix_of(base)
        words = {path for path in files if has_word(stem_of(path), _WORDS[what])}
        words.update(called(files, (Role.DISPARITY,)) if disparity else ())
        named = {among + path[root:] for path in words}
        masks = called(files, (Role.MASK,))  # some of the maps found here
        if not named:
            _, maps = by_ending(files)
            named, masks = {among + path[root:] for path in maps}, []
        chosen = {*masks, *(path for path in files if among + path[root:] in named)}
        return [path for path in images if path not in named], [path for path in files if path in chosen]
    if here in there.parents:  # maps that lie below the images' folder are no images
        inside = prefix_of(base / there.relative_to(here))
        return [path for path in images if not path.startswith(inside)], list(files)
    if there in here.parents:  # the other way round
        inside = prefix_of(folder / here.relative_to(there))
        return list(images), [path for path in files if not path.startswith(inside)]
    return list(images), list(files)


def about_predictions(predicted: Sequence[str]) -> list[Finding]:
    """Say that depth maps are predictions, and of what kind where that is no depth in metres."""
    if not predicted:
        return []
    path = predicted[0]
    sidecar = read_json(Path(path).with_name(stem_of(path).removesuffix(".depth") + ".json"))
    kind = str(sidecar.get("depth_kind"))[:40]
    said = agreeing(len(predicted), f"depth maps are predictions of kdcli, not measurements: {names(predicted)}")
    if kind == DepthKind.METRIC:
        return [Finding(level="info", message=said, path=path)]
    return [Finding(level="warning", message=f"{said}; they are {kind}, which has no metres", path=path)]


def _none(
    what: What, folder: Path, maps: list[str], unread: list[str], images: Sequence[str], endings: frozenset[str]
) -> DataError:
    if not maps and unread:
        return DataError(f"'{folder}': {not_read(unread)}")
    if not maps:
        held = endings_of(list_paths(folder, None)) or "no file"
        return DataError(f"'{folder}' has no {_CALLED[what]} ({' '.join(sorted(endings))}); it holds {held}")
    more = f"; {agreeing(len(unread), not_read(unread))}" if unread else ""
    return DataError(
        f"none of {len(maps)} {_CALLED[what]} in '{folder}', such as '{name_of(maps[0])}', is named like an image "
        f"('{stem_of(images[0])}'){more}"
    )
