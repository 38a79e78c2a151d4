"""Which of the networks in a file is meant: the only one, the one that is asked for, or an error that lists them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kdcli.errors import WeightsError
from kdcli.files import at_home
from kdcli.weights.modules import Found
from kdcli.weights.wrappers import COPY, FIRM, UNKNOWN, named, rank

_LISTED = 6
"""How many networks a message names."""


def parted(location: str | Path) -> tuple[str, str | None]:
    """Return the file that a location names, and which network of it: ``net.pth#ema`` is ``ema`` in ``net.pth``.

    A file whose own name has such a sign is that file.
    """
    text = str(location)
    file, sign, part = text.rpartition("#")
    if not (sign and file and part) or at_home(text).exists():
        return text, None
    return file, part


def asked_for(parts: Sequence[Found], part: str, path: Path) -> Found:
    """Return the part of a file that a user's word means: a key, or what stands before the names of its tensors.

    Raises:
        WeightsError: none or several.
    """
    keys = named([found.key for found in parts], part)
    if not keys and len(inner := [own for found in parts if (own := _within(found, part)).tensors]) == 1:
        return inner[0]
    if len(keys) != 1:
        raise WeightsError(f"'{path}' holds {len(keys) or 'no'} '{part[:80]}'; it holds {listed(parts)}")
    return next(found for found in parts if found.key == keys[0])


def only_one(parts: Sequence[Found], path: Path) -> Found:
    """Return the one network of a file.

    Raises:
        WeightsError: there are several; the message lists them and says how to choose.
    """
    meant = networks(parts)
    if len(meant) > 1:
        other = meant[1].key or meant[0].key
        raise WeightsError(
            f"'{path}' holds several networks: {listed(meant)}; say which, for example '{path}#{other}', or take one "
            f"out: `kdcli weights convert {shlex.quote(str(path))} --part {shlex.quote(other)}`"
        )
    return meant[0]


def networks(parts: Sequence[Found]) -> list[Found]:
    """Return the parts of a file that can be the network one wants, the likeliest first.

    Left out are tensors that lie loose beside larger parts, or within a larger one, and under keys that nobody knows
    where there is a usual one.
    """
    distinct: list[Found] = []
    for found in parts:
        if not any(_same(found, other) for other in distinct):
            distinct.append(found)
    whole = [found for found in distinct if not any(_belongs(found, other) for other in distinct)]
    most = max((len(found.tensors) for found in whole if rank(found.key) <= COPY), default=0)
    firm = [found for found in whole if rank(found.key) < len(FIRM)]

    def counts(found: Found) -> bool:
        place = rank(found.key)
        if place == UNKNOWN:
            return not firm and len(found.tensors) > most
        if len(FIRM) <= place < COPY:
            return not firm or len(found.tensors) > len(firm[0].tensors)
        return True

    return [found for found in whole if counts(found)]


def listed(parts: Sequence[Found]) -> str:
    """Return the parts of a file with their sizes, for messages."""
    texts = [f"{found} with {len(found.tensors)} tensors" for found in parts[:_LISTED]]
    return ", ".join([*texts, *(["..."] if len(parts) > _LISTED else [])]) or "none"


def _within(found: Found, prefix: str) -> Found:
    """Return what of a part has a prefix, without it: a network beside the weights of a loss, say."""
    start = f"{prefix}."
    return replace(
        found, key=f"{found.key}.{prefix}" if found.key else prefix,
        tensors={name.removeprefix(start): value for name, value in found.tensors.items() if name.startswith(start)},
        parameters=None if found.parameters is None else frozenset(
            name.removeprefix(start) for name in found.parameters if name.startswith(start)
        ),
    )


def _belongs(found: Found, other: Found) -> bool:
    """Whether a part lies within, or loose around, another that has more tensors."""
    if found is other or len(found.tensors) >= len(other.tensors):
        return False
    inner, outer = max(found.key, other.key, key=len), min(found.key, other.key, key=len)
    return not outer or inner.startswith(f"{outer}.")


def _same(found: Found, other: Found) -> bool:
    """Whether two parts are the same tensors under the same names, as a file may hold them under two keys."""
    return found.tensors.keys() == other.tensors.keys() and all(
        value is other.tensors[name] for name, value in found.tensors.items()
    )
