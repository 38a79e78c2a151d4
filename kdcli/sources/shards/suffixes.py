"""Which suffix of the files of a sample is the image and which the depth, where nobody says."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from kdcli.errors import ConfigError, DataError
from kdcli.images import DEPTH_SUFFIXES, IMAGE_SUFFIXES
from kdcli.sources.roles import Role, role_of

Wanted = tuple[str, ...]
"""Suffixes that a part may have, the preferred first; none: there is no such part."""

_NUMBERS = DEPTH_SUFFIXES - IMAGE_SUFFIXES


def image_suffix(given: str | None, counts: Mapping[str, int], where: str) -> Wanted:
    """Return the suffixes of the images: those given (``jpg;png``), else the only ones that are pictures by name.

    counts: how many samples have each suffix.

    Raises:
        DataError: no sample has one. ConfigError: several may be meant.
    """
    if given is not None:
        return _given("image", given, counts, where)
    pictures = [suffix for suffix in counts if _ending(suffix) in IMAGE_SUFFIXES]
    called = [suffix for suffix in pictures if _role(suffix) is Role.IMAGE]
    found = called or [suffix for suffix in pictures if _role(suffix) is Role.NONE]
    if not found:
        raise DataError(f"no file in '{where}' is an image by its name; there are {listed(counts)}; say which with "
                        "image=SUFFIX")
    return _one("image", found, counts, where)


def depth_suffix(given: str | None, image: Wanted, counts: Mapping[str, int], where: str) -> Wanted:
    """Return the suffixes of the depth maps: those given, else the only ones that are depth by name or by ending.

    Raises:
        DataError: no sample has the given one. ConfigError: several may be meant.
    """
    if given is not None:
        return () if given == "none" else _given("depth", given, counts, where)
    others = [suffix for suffix in counts if suffix not in image]
    called = [suffix for suffix in others if _ending(suffix) in DEPTH_SUFFIXES and _role(suffix) is Role.DEPTH]
    found = called or [suffix for suffix in others if _ending(suffix) in _NUMBERS and _role(suffix) is Role.NONE]
    return _one("depth", found, counts, where) if found else ()


def other_suffix(given: str | None, what: str, counts: Mapping[str, int], where: str) -> Wanted:
    """Return the suffixes of a part that is only there if somebody says so.

    Raises:
        DataError: no sample has the given one.
    """
    return () if given is None else _given(what, given, counts, where)


def listed(counts: Mapping[str, int]) -> str:
    """Return suffixes with how many samples have each."""
    most = sorted(counts, key=lambda suffix: -counts[suffix])[:8]
    return ", ".join(f"{suffix} ({counts[suffix]})" for suffix in most) or "none"


def _one(what: str, found: Collection[str], counts: Mapping[str, int], where: str) -> Wanted:
    if len(found) > 1:
        raise ConfigError(f"'{where}' has files {listed(counts)}: which is the {what}? Say it with {what}=SUFFIX")
    return tuple(found)


def _given(what: str, given: str, counts: Mapping[str, int], where: str) -> Wanted:
    wanted = tuple(suffix.strip().lstrip(".") for suffix in given.split(";"))
    if not any(suffix in counts for suffix in wanted):
        raise DataError(f"{what}={given}: no file in '{where}' has that suffix; there are {listed(counts)}")
    return wanted


def _ending(suffix: str) -> str:
    return "." + suffix.rpartition(".")[2].lower()


def _role(suffix: str) -> Role:
    """Return what a suffix says besides its ending: ``rgb.jpg`` an image, ``jpg`` nothing."""
    return role_of(suffix.rpartition(".")[0])
