"""Images that two sources share: the same file, the same picture stored anew, or the next frame of a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdcli.errors import KdcliError
from kdcli.files import sha256_of
from kdcli.sources.checks.prints import Prints, prints
from kdcli.types import Finding

if TYPE_CHECKING:
    from kdcli.protocols import Source

NEAR = 7
"""Most bits of 64 in which the hashes of near duplicates differ; with eight bands one of them is then equal."""
ALIKE = 0.97
"""Least correlation of their thumbnails."""
LISTED = 100
_BANDS, _BAND = 8, 256
_MANY, _SOME = 1_000_000, 512
"""Length from which only an even sample of a source, an endless one mostly, is compared; and how many."""
_BITS: NDArray[np.uint8] = np.array([bin(i).count("1") for i in range(1 << 16)], np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """An image of one source and the nearest of the other. bits: in which their hashes differ. exact: the same file or
    the same pixels."""

    image: str
    other: str
    bits: int
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What two sources share. compared: images of either. twins: one for each image of the first that has any."""

    spec: str
    compared: tuple[int, int]
    twins: tuple[Twin, ...]

    def document(self) -> dict[str, Any]:
        """Return the JSON form, with the first pairs."""
        exact = sum(twin.exact for twin in self.twins)
        return {
            "spec": self.spec, "compared": list(self.compared), "exact": exact, "near": len(self.twins) - exact,
            "pairs": [
                {"image": twin.image, "other": twin.other, "bits": twin.bits, "exact": twin.exact}
                for twin in self.twins[:LISTED]
            ],
        }

    def findings(self) -> list[Finding]:
        """Say that one source holds what the other one is measured on."""
        said = []
        for exact, what in ((True, "are also in"), (False, "look nearly like images of")):
            found = [twin for twin in self.twins if twin.exact is exact]
            if found:
                message = (
                    f"{len(found)} of {self.compared[0]} images {what} '{self.spec}', such as '{found[0].image}' and "
                    f"'{found[0].other}'; what is trained on one and measured on the other is then known already"
                )
                said.append(Finding(level="warning", message=message, path=found[0].image))
        return said


def shared(
    source: Source, against: Source, spec: str, *, workers: int = 0, tick: Callable[[int, int], Any] | None = None
) -> Shared:
    """Look for each image of a source in another one. spec: what the other is called. workers, tick: as of ``survey``.

    Images that cannot be read are passed over. Where a source shares images with itself, each is its own twin.
    """
    chosen = [_chosen(len(one)) for one in (source, against)]
    done, total = 0, sum(map(len, chosen))

    def one_more() -> None:
        nonlocal done
        done += 1
        if tick is not None:
            tick(done, total)

    ours, theirs = (
        prints(one, indices, workers=workers, tick=one_more)
        for one, indices in zip((source, against), chosen, strict=True)
    )
    twins = tuple(
        Twin(
            image=_name(source, i), other=_name(against, j), bits=bits, exact=bits == 0 and _same(source, i, against, j)
        )
        for i, j, bits in _nearest(ours, theirs)
    )
    return Shared(spec=spec, compared=(len(ours.indices), len(theirs.indices)), twins=twins)


def _chosen(count: int) -> list[int]:
    return list(range(count)) if count < _MANY else [i * count // _SOME for i in range(_SOME)]


def _nearest(ours: Prints, theirs: Prints) -> Iterator[tuple[int, int, int]]:
    """Yield position, the other's position and bits of each image that has a near duplicate: the nearest one."""
    bands: list[dict[int, NDArray[np.int64]]] = []
    parts = theirs.hashes.view(np.uint8).reshape(-1, _BANDS)
    for band in range(_BANDS):
        order = np.argsort(parts[:, band], kind="stable")
        starts = np.searchsorted(parts[order, band], np.arange(_BAND + 1))
        bands.append({key: order[starts[key] : starts[key + 1]] for key in range(_BAND)})
    own_parts = ours.hashes.view(np.uint8).reshape(-1, _BANDS)
    for place, value in enumerate(ours.hashes):
        near = np.concatenate([bands[band][int(own_parts[place, band])] for band in range(_BANDS)])
        bits = _BITS[(theirs.hashes[near] ^ value).view(np.uint16)].reshape(-1, 4).sum(1, dtype=np.int64)
        near, bits = near[bits <= NEAR], bits[bits <= NEAR]
        alike = theirs.thumbs[near] @ ours.thumbs[place] >= ALIKE
        alike |= ~theirs.thumbs[near].any(1) & (not ours.thumbs[place].any())  # plain both
        if alike.any():
            near, bits = near[alike], bits[alike]
            best = np.lexsort((near, bits))[0]
            yield int(ours.indices[place]), int(theirs.indices[near[best]]), int(bits[best])


def _same(source: Any, i: int, against: Any, j: int) -> bool:
    one, other = (it.pairs[at].image if hasattr(it, "pairs") else None for it, at in ((source, i), (against, j)))
    if isinstance(one, Path) and isinstance(other, Path):
        with suppress(OSError):
            return one.samefile(other) or (
                one.stat().st_size == other.stat().st_size and sha256_of(one) == sha256_of(other)
            )
    with suppress(KdcliError):
        return torch.equal(source[i].image, against[j].image)
    return False


def _name(source: Any, index: int) -> str:
    return str(source.pairs[index].image) if hasattr(source, "pairs") else str(source[index].id)
