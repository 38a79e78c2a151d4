"""Lines of list files in the forms that people write: blanks, tabs, commas, quotes, back-slashes, a third file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kdcli.errors import DataError
from kdcli.sources.roles import Role, has_word, role_of
from kdcli.sources.texts.numbers import FOCAL, check_number, number_of

FORM = "'image depth focal'"
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'|([^\s,;]+)")
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,5}$")
_SIGNS = re.compile(r"[\s,;]+")
_MASK_FOLDERS = frozenset({"mask", "masks"})
_LONGEST_NAME, _LONGEST_PATH = 255, 4000
_ABSENT = frozenset({"none", "null", "-", ""})
_COLUMNS = {Role.IMAGE: "image", Role.DEPTH: "depth", Role.MASK: "mask"}


@dataclass(slots=True, kw_only=True)  # not frozen, which takes thrice the time to make: lists have many
class Line:
    """One line of a list: relative paths of image and ground truth (None = there is none), focal length in pixels.

    mask: path of the mask of the ground truth. others: further paths, which nothing uses. number: counted from 1.
    """

    image: str
    depth: str | None
    focal: float | None
    mask: str | None = None
    others: tuple[str, ...] = ()
    number: int = 0


def split_line(text: str) -> list[str]:
    """Return the fields of one line, none of a comment or an empty one.

    The first way that leaves only whole fields is taken: quotes, tabs, commas, semicolons, and then blanks.
    """
    text = re.sub(r"\s#(\s.*)?$", "", text.strip().rstrip("\x1a").strip())
    if not text or text.startswith("#"):
        return []
    if text[0] in "\"'" or re.search(r"[\s,;][\"']", text):
        return [_path("".join(match.groups(""))) for match in _QUOTED.finditer(text)]
    if not any(_ENDING.search(word) for word in _SIGNS.split(text)):
        return [_path(word) for word in _SIGNS.split(text) if word]
    for sign in "\t,;":
        if sign in text:
            # An empty field says that there is nothing; one at the end of a line says nothing.
            parts = [word for part in text.rstrip(sign).split(sign) for word in (_words(part) or [""])]
            if all(_whole(part) for part in parts):
                return [_path(part) for part in parts]
    return [_path(field) for field in _words(text)]


def split_words(text: str) -> list[str]:
    """Return the words of a line whose names hold no blanks unless in quotes, none of a comment or an empty one."""
    text = text.strip()
    if text.startswith("#"):
        return []
    return [_path("".join(match.groups(""))) for match in _QUOTED.finditer(text)]


def _words(text: str) -> list[str]:
    """Split at blanks, but not inside names such as ``my room/rgb 0.jpg``, whose end is told by their ending."""
    fields: list[str] = []
    begun: list[str] = []
    for word in text.split():
        begun.append(word)
        if _ENDING.search(word) or (len(begun) == 1 and _whole(word) and fields):
            fields.append(" ".join(begun))
            begun = []
    return [*fields, *begun]


def _whole(field: str) -> bool:
    """Whether a field is a file's name with ending, a number or none."""
    return bool(_ENDING.search(field)) or number_of(field) is not None or field.lower() in _ABSENT


def _path(field: str) -> str:
    return field.replace("\\", "/")


def line_of(fields: Sequence[str], columns: Sequence[str] | None, number: int, where: str) -> Line:
    """Return the line that fields make, in the order of ``FORM`` or as columns name them.

    Raises:
        DataError: they make none.
    """
    return _line(fields, number, where) if columns is None else _row(fields, columns, number, where)


def _line(fields: Sequence[str], number: int, where: str) -> Line:
    image, *rest = fields
    depth = None
    # A number behind an image alone is its focal length; files have endings.
    if rest and not (len(rest) == 1 and number_of(rest[0]) is not None and _ENDING.search(image)):
        depth, *rest = rest
    paths: list[str] = []
    while rest and (_ENDING.search(rest[0]) or "/" in rest[0] or rest[0].lower() in _ABSENT):
        paths.append(rest.pop(0))
    if len(rest) > 1:
        raise DataError(f"{where} has {len(fields)} words; write {FORM}, and names with blanks in quotes")
    return _made(image, depth, focal_of(rest[0], where) if rest else None, paths, number, where)


def focal_of(text: str, where: str) -> float:
    """Return a focal length.

    Raises:
        DataError: it is no number, or cannot be.
    """
    value = number_of(text)
    if value is None:
        shown = text[:60]
        raise DataError(f"{where} has focal length '{shown}'; write a number of pixels, names with blanks in quotes")
    return check_number(value, FOCAL, "focal length", where)


def header_of(fields: Sequence[str]) -> list[str] | None:
    """Return what each column of a list is if a line names columns, one of them the image's; None if it names files."""
    if any(_ENDING.search(field) or "/" in field or number_of(field) is not None for field in fields):
        return None
    names = ["focal" if "focal" in field.lower() else _COLUMNS.get(role_of(field), "other") for field in fields]
    return names if len(fields) > 1 and names.count("image") == 1 and "depth" in names else None


def _row(fields: Sequence[str], columns: Sequence[str], number: int, where: str) -> Line:
    if len(fields) > len(columns):
        count = len(columns)
        raise DataError(f"{where} has {len(fields)} fields, its first line names {count} columns; make them equal")
    of: dict[str, str] = {}
    others = []
    for column, field in zip(columns, fields, strict=False):
        if column == "other" or column in of:
            others.append(field)
        else:
            of[column] = field
    if not of.get("image"):
        raise DataError(f"{where} names no image; write lines of {FORM}")
    focal = focal_of(of["focal"], where) if of.get("focal") else None
    files = [field for field in others if _ENDING.search(field) and number_of(field) is None]
    made = _made(of["image"], of.get("depth"), focal, files, number, where)
    return Line(
        image=made.image, depth=made.depth, focal=focal, mask=_given(of.get("mask")) or made.mask, others=made.others,
        number=number,
    )


def _made(image: str, depth: str | None, focal: float | None, paths: Sequence[str], number: int, where: str) -> Line:
    """Return a line; of further paths the first that is called a mask is one."""
    if not image:
        raise DataError(f"{where} names no image; write lines of {FORM}")
    for path in (image, depth, *paths):
        check_name(path or "", where)
    if depth and (_role(image), _role(depth)) == (Role.DEPTH, Role.IMAGE):  # some write the depth first
        image, depth = depth, image
    files = [path for path in paths if _given(path)]
    masks = [path for path in files if _is_mask(path)]
    return Line(
        image=image, depth=_given(depth), focal=focal, mask=masks[0] if masks else None,
        others=tuple(path for path in files if path not in masks[:1]), number=number,
    )


def _role(path: str) -> Role:
    """Return what a path is called by its name, else by its folder."""
    folder, _, file = path.rpartition("/")
    own = role_of(file.rpartition(".")[0])
    return own if own is not Role.NONE else role_of(folder.rpartition("/")[2])


def check_name(path: str, where: str) -> None:
    """Refuse a path that no file can have.

    Raises:
        DataError: a part of it, or all of it, is too long.
    """
    if len(path) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.split("/")):
        raise DataError(f"{where} has a name of {len(path)} letters, '{path[:40]}...'; no file is called so")


def _is_mask(path: str) -> bool:
    folder, _, file = path.rpartition("/")
    # Not any word for masks in the folder: ``valid`` is also a split.
    return role_of(file.rpartition(".")[0]) is Role.MASK or has_word(folder.rpartition("/")[2], _MASK_FOLDERS)


def _given(path: str | None) -> str | None:
    return None if path is None or path.lower() in _ABSENT else path
