"""What the items of a source say together, and what its files say by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kdcli.sources.checks.cameras import about_cameras, about_focals
from kdcli.sources.checks.depths import Depths, about_depths, about_slope, depths
from kdcli.sources.checks.items import Facts, facts
from kdcli.sources.checks.notes import about_objects, about_pairs, nyu_share
from kdcli.sources.checks.numbers import about_numbers
from kdcli.sources.checks.paths import about_paths
from kdcli.sources.checks.registration import COMPARED, Registration, registered
from kdcli.sources.checks.scales import about_mixture, about_scale, usual
from kdcli.sources.checks.units import about_values, all_shallow
from kdcli.sources.pairs import OfFiles, Pair
from kdcli.types import Finding

if TYPE_CHECKING:
    from kdcli.protocols import Source

SAMPLED = 64
"""Items that are decoded unless all are asked for."""

_LOOKED = 100_000
"""Most items whose files are looked up; of larger sets, of millions, an even sample is."""
_KEPT, _KEPT_IN_ALL, _KEPT_LEAST = 4096, 1 << 20, 32
"""Numbers kept of a depth map for the median of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found. n: items; read: how many were decoded. sizes: ``HxW`` of images -> how many of those read.

    depth: min, median, max in metres over valid pixels, and holes, the share of pixels without value; None without
    any ground truth. histogram: (from, to, share of the valid pixels), metres. depth_sizes: as ``sizes``. objects: mean
    and most an image, and the share of images without; None without any object ids. registration: None where no image
    could be compared with its depth. nyu: images and share of NYU Depth v2 in SUN RGB-D, None without.
    """

    n: int
    read: int
    sizes: dict[str, int]
    depth: dict[str, float] | None
    histogram: tuple[tuple[float, float, float], ...]
    depth_sizes: dict[str, int]
    objects: dict[str, float] | None
    registration: Registration | None
    nyu: dict[str, float] | None
    findings: list[Finding]

    @property
    def errors(self) -> int:
        """How many findings make the data unusable."""
        return sum(finding.level == "error" for finding in self.findings)


def survey(
    source: Source, *, limit: int | None = SAMPLED, workers: int = 0, tick: Callable[[int, int], Any] | None = None
) -> Survey:
    """Decode an even sample of a source (all of it with limit None) and say what is wrong with it.

    For a source of files, paths are also checked for existence, pointers and duplicates: all, or an even sample of very
    large sets. Other sources are asked for their own findings. workers: processes that read; what is found does not
    depend on their number. tick(done, total) is called after each item.
    """
    pairs: Sequence[Pair] = ()
    if isinstance(source, OfFiles):
        pairs = source.pairs if limit is None else source.pairs[:: -(-len(source.pairs) // _LOOKED)]
        findings = [*source.remarks(), *about_paths(pairs)]
    else:
        findings = list(source.check())
    told = {finding.path for finding in findings}
    n = len(source)
    total = n if limit is None else min(n, limit)
    compared = {i * total // COMPARED for i in range(COMPARED)} if total > COMPARED else range(total)
    found: list[Facts] = []
    reading = facts(
        source, [done * n // total for done in range(total)], workers=workers,
        compared=frozenset(done * n // total for done in compared),
        kept=max(_KEPT_LEAST, min(_KEPT, _KEPT_IN_ALL // max(1, total))),
    )
    for done, one in enumerate(reading, 1):
        if one.error is None:
            found.append(one)
        elif one.path not in told:
            findings.append(Finding(level="error", message=one.error, path=one.path))
        if tick is not None:
            tick(done, total)
    return _summary(source, pairs, found, findings)


def _summary(source: Source, pairs: Sequence[Pair], found: Sequence[Facts], findings: list[Finding]) -> Survey:
    sizes = _counted([one.size for one in found])
    depth = depths([one.values for one in found if one.values is not None])
    registration = registered([one.edges for one in found if one.edges is not None])
    objects, about_ids = about_objects(pairs, [one.objects for one in found if one.objects is not None])
    nyu, about_nyu = nyu_share(pairs, told=findings)
    findings = [
        *findings, *_about_depth(source, found, depth), *_about_place(found, registration),
        *about_cameras([(one.name, one.camera, one.size) for one in found if one.camera is not None]),
    ]
    if isinstance(source, OfFiles):
        cameras = [(source.pairs[one.index], one.camera) for one in found if one.camera is not None]
        findings += [*about_focals(cameras), *about_pairs(pairs, Counter(sizes)), *about_nyu]
    return Survey(
        n=len(source), read=len(found), sizes=sizes, depth=None if depth is None else depth.numbers(), objects=objects,
        histogram=() if depth is None else depth.histogram, registration=registration, nyu=nyu,
        depth_sizes=_counted([one.depth_size for one in found if one.depth_size is not None]),
        findings=findings + about_ids,
    )


def _about_depth(source: Source, found: Sequence[Facts], depth: Depths | None) -> list[Finding]:
    """Return what is suspicious about the numbers of the depth maps."""
    maps = [one for one in found if one.values is not None]
    looks = [one.look for one in found if one.look is not None]
    findings = about_depths(
        [one.values for one in maps if one.values is not None], [(one.path or one.name, one.path) for one in maps]
    )
    if not isinstance(source, OfFiles):
        return findings
    doubted = depth is not None and not usual(source, depth.median)
    if depth is not None and doubted and not all_shallow(looks):
        some = np.concatenate([one.values.some for one in maps if one.values is not None])
        findings.append(about_scale(source, some, depth.median))
    numbers = [one.numbers for one in found if one.numbers is not None]
    return [
        *findings, *about_values(looks, doubted=doubted), *about_numbers(numbers, doubted=doubted),
        *about_mixture(looks),
    ]


def _about_place(found: Sequence[Facts], registration: Registration | None) -> list[Finding]:
    """Return what is suspicious about where depth lies in the image; the plainer test speaks where edges do not."""
    said = [] if registration is None else registration.findings()
    return said or about_slope([one.values for one in found if one.values is not None])


def _counted(sizes: Sequence[tuple[int, int]]) -> dict[str, int]:
    return dict(Counter(f"{height}x{width}" for height, width in sizes).most_common())
