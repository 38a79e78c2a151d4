"""Lists on disk, in the form that sources read with ``list=``, each with a header that says how it came about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from kdcli.errors import ConfigError
from kdcli.files import at_home, atomic, require_writable, write_text
from kdcli.rasters import Place
from kdcli.sources.dividing.rules import Division
from kdcli.sources.pairs import Pair
from kdcli.sources.texts.headers import with_header
from kdcli.sources.texts.lines import split_line

LISTS = ("train", "test")
_OWN = ("folder", "kitti", "nyu", "rgbd")
"""Sources that read such lists themselves."""
_PLAIN = re.compile(r"[^\s,;\"'#]+")


def write_lists(
    division: Division, paths: tuple[Path, Path], root: str, facts: Sequence[str], *, force: bool = False
) -> dict[str, str]:
    """Write both lists, or none, and return their sha256, by name of the part.

    root: what names are relative to, the location of the source. facts: further lines of the header. force: write over
    files that are there.

    Raises:
        ConfigError: a file is there, both paths are one, or a name cannot be written in a list.
    """
    if paths[0].resolve() == paths[1].resolve():
        raise ConfigError(f"--out names '{paths[0]}' twice; give one file for training and one for measuring")
    for path in paths:
        if path.exists() and not force:
            raise ConfigError(f"'{path}' exists; give another name, or --force to write over it")
    texts = []
    for part, pairs in zip(LISTS, (division.train, division.test), strict=True):
        texts.append(_text(pairs, at_home(root), [f"{part}: {len(pairs)} images", f"rule: {division.rule}", *facts]))
    for path in paths:
        require_writable(path)
    with ExitStack() as both:
        for draft, (text, _) in zip([both.enter_context(atomic(path)) for path in paths], texts, strict=True):
            write_text(draft, text, names=True)
    return {part: digest for part, (_, digest) in zip(LISTS, texts, strict=True)}


def reading(spec: str, name: str, path: str) -> str:
    """Return the spec by which a list of a source is read back. name: the source's."""
    own = name in _OWN and ",list=" not in spec
    return f"{spec},list={path}" if own else f"listed:[{spec}],list={path}"


def _text(pairs: Sequence[Pair], root: Path, facts: Sequence[str]) -> tuple[str, str]:
    masked = any(pair.mask is not None for pair in pairs)
    focal = any(pair.focal is not None for pair in pairs)
    columns = ["image", "depth", "mask", *(["focal"] if focal else [])] if masked else []
    rows = [*([",".join(columns)] if masked else []), *(_line(pair, root, len(columns)) for pair in pairs)]
    body = "".join(f"{row}\n" for row in rows)
    return with_header(body, facts)


def _line(pair: Pair, root: Path, columns: int) -> str:
    """Return the line of a pair, of so many columns; 0 = as many as it has words."""
    image, depth, mask = _names(pair, root)
    focal = None if pair.focal is None else f"{pair.focal:.9g}"
    if columns:
        fields = [image, depth or "None", mask or "None", focal or ""][:columns]
    else:
        fields = [image, *([depth or "None"] if depth or focal else []), *([focal] if focal else [])]
    text = ("," if columns else " ").join(_quoted(field) for field in fields)
    if split_line(text) != fields:
        raise ConfigError(f"'{pair.image}' has a name that no list can hold; rename it, or what belongs to it")
    return text


def _names(pair: Pair, root: Path) -> tuple[str, str | None, str | None]:
    """Return image, depth and mask as a list names them: below the folder that the image's name begins at, below the
    root, or as they are. What lies inside another file has no name there: such an image goes by its id."""
    if not isinstance(pair.image, Path):
        return pair.id, None, None
    whole = pair.image.as_posix()
    base = Path(whole[: -len(pair.id)]) if whole.endswith("/" + pair.id) else root

    def named(place: Place | None) -> str | None:
        if not isinstance(place, Path):
            return None
        for folder in (base, root):
            if place.is_relative_to(folder):
                return place.relative_to(folder).as_posix()
        return place.absolute().as_posix()

    image = named(pair.image)
    assert image is not None
    return image, named(pair.depth), named(pair.mask)


def _quoted(field: str) -> str:
    return field if _PLAIN.fullmatch(field) else f"'{field}'" if '"' in field else f'"{field}"'
