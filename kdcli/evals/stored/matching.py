"""Which prediction is whose: by the photograph that a sidecar names, by name, or by position."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from kdcli.errors import DataError
from kdcli.evals.stored.files import Stored
from kdcli.images import IMAGE_SUFFIXES
from kdcli.rasters import Place, file_of
from kdcli.sources.matching import match_names

WORDS = frozenset({
    "pred", "preds", "prediction", "predictions", "predicted", "output", "outputs", "out", "result", "results", "est",
    "estimated", "estimate", "npy", "relative",
})  # fmt: skip
"""Words that tools add to the names of images, beside those of depth and disparity."""

By = Literal["name", "order"]


def match(source: Any, files: Mapping[str, Stored], by: By, where: str) -> dict[str, Stored]:
    """Return the prediction of each image of a source of files by the image's id; images without one are left out.

    Raises:
        DataError: not one belongs to an image, or by order their numbers differ.
    """
    named = getattr(source, "pairs", None)
    pairs: Sequence[tuple[str, Place]] = [] if named is None else [(pair.id, pair.image) for pair in named]
    if by == "order" or (files and all(one.index is not None for one in files.values())):
        return _by_order(source, pairs, list(files.values()), where)
    found = _by_input(pairs, files)
    left = [image_id for image_id, _ in pairs if image_id not in found]
    taken = {id(one) for one in found.values()}
    found |= by_names(left, {name: one for name, one in files.items() if id(one) not in taken})
    if pairs and not found:
        name = getattr(source, "name", type(source).__name__)
        raise DataError(
            f"none of the {len(files)} predictions in '{where}' is called like an image of source '{name}': "
            f"'{next(iter(files))}' and '{pairs[0][0]}', for example; {_advice(files, pairs)}"
        )
    return found


def _advice(names: Iterable[str], pairs: Sequence[tuple[str, Place]]) -> str:
    """Return what to do with predictions that are called like no image."""
    given = list(names)
    if len(given) <= len(pairs):
        return "give them the images' names, or add by=order"
    folders, known = ({name.partition("/")[0]: None for name in of if "/" in name}
                      for of in (given, [image_id for image_id, _ in pairs]))
    if len(folders) > 1 and not set(folders) & set(known):
        return f"there are more than images: give the one of its folders that is meant ({', '.join(folders)[:120]})"
    return "there are more than images: keep those that are meant, under the images' names"


def by_names(ids: Sequence[str], files: Mapping[str, Stored]) -> dict[str, Stored]:
    """Return the predictions of images by their ids.

    First by the rules of ``kdcli.sources.matching``, with words that tools add; then without the ending that all names
    share; then by names that join a folder and a file, such as ``scene_rgb_1`` for ``scene/rgb_1``, with that ending
    and without it; last by folder and file alone, where one side has more folders above them.
    """
    images: dict[str, list[str]] = defaultdict(list)
    for image_id in ids:
        images[without_ending(image_id)].append(image_id)
    paths = {name: Path(name) for name in files}
    back = {Path(name): name for name in files}
    found = {name: back[path] for name, path in match_names(_paths(images), paths, also=WORDS).items()}
    for renamed in _renamed(list(images), list(files)) if len(found) < len(images) else ():
        left = [name for name in images if name not in found]
        used = set(found.values())
        spare = {new: old for new, old in renamed.items() if old not in used}
        if not left or not spare:
            continue
        again = match_names(_paths(left), {new: Path(new) for new in spare}, also=WORDS)
        found |= {name: spare[path.as_posix()] for name, path in again.items()}
    return {image_id: files[name] for image, name in found.items() for image_id in images[image]}


def _renamed(images: Sequence[str], names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield other names of predictions -> their names, the surest first."""
    common = _without_common(names)
    yield common
    yield _joined(images, names)
    yield {image: common[name] for image, name in _joined(images, list(common)).items()}
    yield _ends(images, names)


def _paths(names: Sequence[str] | Mapping[str, object]) -> dict[str, Path]:
    return {name: Path(name) for name in names}


def without_ending(image_id: str) -> str:
    """Return an image's id without the ending of a picture."""
    last = image_id.rpartition("/")[2]
    dot = last.rfind(".")
    return image_id[: dot - len(last)] if dot > 0 and last[dot:].lower() in IMAGE_SUFFIXES else image_id


def _by_input(pairs: Sequence[tuple[str, Place]], files: Mapping[str, Stored]) -> dict[str, Stored]:
    """Return the predictions that name the very photograph that they were made of."""
    of = {os.path.abspath(one.input): one for one in files.values() if one.input is not None}  # noqa: PTH100 - strings
    if not of:
        return {}
    real = ((image_id, os.path.abspath(file_of(image))) for image_id, image in pairs)  # noqa: PTH100
    return {image_id: of[path] for image_id, path in real if path in of}


def _by_order(
    source: Any, pairs: Sequence[tuple[str, Place]], files: Sequence[Stored], where: str
) -> dict[str, Stored]:
    if len(files) != len(pairs):
        name = getattr(source, "name", type(source).__name__)
        has = f"has {len(pairs)} images" if pairs else "has no list of images"
        raise DataError(
            f"'{where}' has {len(files)} predictions and source '{name}' {has}; by order both must be as many"
        )
    return {image_id: one for (image_id, _), one in zip(pairs, files, strict=True)}


def _without_common(names: Sequence[str]) -> dict[str, str]:
    """Return names without the ending that they all share from a sign on, such as ``-dpt_large_384``."""
    if len(names) < 2:
        return {}
    lasts = [name.rpartition("/")[2] for name in names]
    shared = lasts[0]
    for last in lasts:
        while not last.endswith(shared):
            shared = shared[1:]
    cut = next((i for i, letter in enumerate(shared) if letter in "-_."), None)
    if cut is None or any(len(last) == len(shared) - cut for last in lasts):
        return {}
    return {name[: cut - len(shared)]: name for name in names}


def _joined(images: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return image name -> prediction name where only one prediction is called like that image's joined parts."""
    lasts = Counter(name.rpartition("/")[2] for name in names)
    by_last = {last: name for name in names if lasts[last := name.rpartition("/")[2]] == 1}
    claims: dict[str, set[str]] = defaultdict(set)
    for image in images:
        for joined in _joinings(image):
            if joined in by_last:
                claims[by_last[joined]].add(image)
    only = {name: next(iter(claimed)) for name, claimed in claims.items() if len(claimed) == 1}
    return {image: name for name, image in only.items()}


def _ends(images: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return image name -> prediction name where folder and file of one are where the other ends, and of no third."""
    known = set(images), set(names)
    pairs = [(image, end) for image in images for end in _tails(image) if end in known[1]]
    pairs += [(end, name) for name in names for end in _tails(name) if end in known[0]]
    times = Counter(image for image, _ in pairs), Counter(name for _, name in pairs)
    return {image: name for image, name in pairs if times[0][image] == times[1][name] == 1}


def _tails(name: str) -> Iterator[str]:
    """Yield what is left of a name without its first folders, as long as it has one."""
    while "/" in (name := name.partition("/")[2]):
        yield name


def _joinings(image: str) -> Iterator[str]:
    parts = image.split("/")
    for i in range(len(parts) - 1):
        yield f"{parts[i]}_{parts[-1]}"
        if i < len(parts) - 2:
            yield "_".join(parts[i:])
