"""Look over a source before it costs a training run: what is missing, broken or probably wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from kdcli.errors import DataError, KdcliError
from kdcli.images import depth_form, read_stored
from kdcli.sources.pairs import OfFiles, Pair
from kdcli.sources.path_checks import LISTED, about_paths
from kdcli.sources.validity import doubtful_arrays
from kdcli.sources.value_checks import Look, about_values, all_shallow, look
from kdcli.types import Finding

if TYPE_CHECKING:
    from torch import Tensor

    from kdcli.protocols import Source
    from kdcli.types import Sample

SAMPLED = 64
"""Items that are decoded unless all are asked for."""

_SCALES = (1.0, 100.0, 256.0, 1000.0, 5000.0, 10000.0)
_MOST_HOLES = 0.97
"""KITTI's annotated depth has about 0.8: only clearly more is worth a word."""
_LOOKED = 100_000
"""Most items whose files are looked up; of larger sets, of millions, an even sample is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found. n: items; read: how many were decoded. sizes: ``HxW`` of images -> how many of those read.

    depth: min, median, max in metres over valid pixels, and holes, the share of pixels without value; None without
    any ground truth. objects: mean and most an image, and the share of images without; None without any object ids.
    """

    n: int
    read: int
    sizes: dict[str, int]
    depth: dict[str, float] | None
    objects: dict[str, float] | None
    findings: list[Finding]

    @property
    def errors(self) -> int:
        """How many findings make the data unusable."""
        return sum(finding.level == "error" for finding in self.findings)


def survey(source: Source, *, limit: int | None = SAMPLED, tick: Callable[[int, int], Any] | None = None) -> Survey:
    """Decode an even sample of a source (all of it with limit None) and say what is wrong with it.

    For a source of files, paths are also checked for existence, pointers and duplicates: all, or an even sample of very
    large sets. Other sources are asked for their own findings. tick(done, total) is called after each item.
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
    sizes: Counter[str] = Counter()
    values: list[Tensor] = []
    holes: list[float] = []
    empty: list[Finding] = []
    objects: list[int] = []
    looks: list[Look] = []
    for done in range(total):
        index = done * n // total
        where = str(source.pairs[index].depth) if isinstance(source, OfFiles) else None
        try:
            sample = source[index]
        except KdcliError as error:
            path = _named(source, index, str(error))
            if path not in told:
                findings.append(Finding(level="error", message=str(error), path=path))
        else:
            sizes["x".join(map(str, sample.image.shape[-2:]))] += 1
            if sample.instances is not None:
                objects.append(int((torch.unique(sample.instances) > 0).sum()))
            known = _values(sample)
            if isinstance(source, OfFiles):
                looks.append(look(source, source.pairs[index], sample.depth, known))
            if known is not None:
                values.append(known)
                holes.append(1 - known.numel() / max(1, sample.depth.numel() if sample.depth is not None else 1))
                if not known.numel():
                    message = f"depth of '{where or sample.id}' has no valid pixel; it teaches and measures nothing"
                    empty.append(Finding(level="warning", message=message, path=where))
        if tick is not None:
            tick(done + 1, total)
    depth, about = _depth(source, values, holes, empty, doubt=not all_shallow(looks))
    findings += [*about, *about_values(looks, doubted=depth is not None and not _usual(source, depth["median"]))]
    if isinstance(source, OfFiles):
        findings += _notes(pairs, sizes)
    summary, about = _objects(pairs, objects)
    return Survey(
        n=n, read=sum(sizes.values()), sizes=dict(sizes.most_common()), depth=depth, objects=summary,
        findings=findings + about,
    )


def _objects(pairs: Sequence[Pair], counts: list[int]) -> tuple[dict[str, float] | None, list[Finding]]:
    """Return the summary of objects an image, and what is suspicious about it."""
    if not counts:
        return None, []
    none, findings = sum(not count for count in counts), []
    if none == len(counts):
        message = f"none of the {none} images read has an object; check the files of ids and what counts as an object"
        findings.append(Finding(level="warning", message=message))
    bare = [pair for pair in pairs if pair.instances is None]
    if 0 < len(bare) < len(pairs):
        message = f"{len(bare)} of {len(pairs)} images have no object ids, such as '{bare[0].image}'; none is cut there"
        findings.append(Finding(level="warning", message=message, path=str(bare[0].image)))
    return {"mean": sum(counts) / len(counts), "most": max(counts), "without": none / len(counts)}, findings


def _values(sample: Sample) -> Tensor | None:
    if sample.depth is None:
        return None
    if sample.valid is None:
        return sample.depth.flatten()
    return torch.from_numpy(sample.depth.numpy()[sample.valid.numpy()])


def _named(source: Source, index: int, message: str) -> str | None:
    """Return the file that an error is about."""
    if not isinstance(source, OfFiles):
        return None
    pair = source.pairs[index]
    paths = [str(path) for path in (pair.image, pair.depth, pair.instances) if path is not None]
    return next((path for path in paths if f"'{path}'" in message), paths[0])


def _depth(
    source: Source, values: list[Tensor], holes: list[float], empty: list[Finding], *, doubt: bool = True
) -> tuple[dict[str, float] | None, list[Finding]]:
    """Return the depth summary, and what is suspicious about the numbers."""
    if not values:
        return None, []
    if len(empty) == len(values):
        message = f"none of the {len(values)} depth maps read has a valid pixel; check the files and how they were made"
        return None, [Finding(level="error", message=message, path=empty[0].path)]
    findings = empty[:LISTED]
    if len(empty) > LISTED:
        findings.append(Finding(level="warning", message=f"{len(empty) - LISTED} more depth maps have no valid pixel"))
    known = torch.cat([value[:: max(1, value.numel() // 4096)] for value in values])
    low = min(float(value.min()) for value in values if value.numel())
    high = max(float(value.max()) for value in values if value.numel())
    median, missing = float(known.median()), sum(holes) / len(holes)
    if missing > _MOST_HOLES:
        message = f"{missing:.1%} of the depth pixels have no value; check that this is the depth of these images"
        findings.append(Finding(level="warning", message=message))
    if isinstance(source, OfFiles) and not _usual(source, median) and doubt:
        findings.append(_scale(source, known, median, source.usual_median))
    return {"min": low, "median": median, "max": high, "holes": missing}, findings


def _usual(source: Source, median: float) -> bool:
    lowest, highest = source.usual_median if isinstance(source, OfFiles) else (0.0, float("inf"))
    return lowest <= median <= highest


def _scale(source: OfFiles, known: Tensor, median: float, usual: tuple[float, float]) -> Finding:
    """Say that the depth is probably read at the wrong scale, and at which it would be plausible."""
    path, used = _units(source)
    stored = known * used
    scales = list(_SCALES)
    # Millimetres rotated by three bits, as SUN RGB-D stores them, are eighths of one wherever they are below 8.2 m.
    if (stored.round() % 8 == 0).float().mean() > 0.9:
        scales.append(8000.0)
    middle = (max(usual[0], 0.5) * min(usual[1], 20.0)) ** 0.5
    likely = [s for s in scales if s != used and max(usual[0], 0.4) <= median * used / s <= min(usual[1], 60.0)]
    likely.sort(key=lambda s: abs(torch.log(torch.tensor(median * used / s / middle)).item()))
    if 8000.0 in likely:
        likely = [8000.0, *(s for s in likely if s != 8000.0)]
    names = {1000.0: " for millimetres", 100.0: " for centimetres"}
    options = " or ".join(f"scale={s:g}{names.get(s, '')} (median {median * used / s:.3g} m)" for s in likely[:3])
    remedy = f"it is plausible with {options}" if options else "check the unit of the files and set scale="
    said = f"median depth {median:.4g} m at scale={used:g} is not the usual {usual[0]:g} to {usual[1]:g} m"
    return Finding(level="warning", message=f"{said}; {remedy}", path=path)


def _units(source: OfFiles) -> tuple[str | None, float]:
    """Return a depth file that can be read, and the units per metre that it is read with."""
    for pair in source.pairs:
        scale = source.scale_of(pair)
        with suppress(DataError):
            if pair.depth is not None:
                return str(pair.depth), depth_form(pair.depth).units(scale)
    return None, 1.0


def _notes(pairs: Sequence[Pair], sizes: Counter[str]) -> list[Finding]:
    """Return what is worth knowing and no fault: several sizes, frames without ground truth, swapped bytes."""
    findings = []
    if len(sizes) > 1:
        listed = ", ".join(f"{size} ({count})" for size, count in sizes.most_common(4))
        findings.append(Finding(level="info", message=f"images have {len(sizes)} sizes, height x width: {listed}"))
    unlabelled = sum(pair.depth is None for pair in pairs)
    if 0 < unlabelled < len(pairs):
        first = next(pair.image for pair in pairs if pair.depth is None)
        message = (
            f"{unlabelled} of {len(pairs)} images have no ground truth, such as '{first}'; an evaluation skips them"
        )
        findings.append(Finding(level="info", message=message))
    archive = next((p.depth for p in pairs if p.depth is not None and p.depth.suffix.lower() == ".npz"), None)
    if archive is not None and (unused := doubtful_arrays(archive)):
        message = f"'{archive}' has arrays that may be masks and are not used: {', '.join(unused)[:100]}"
        findings.append(Finding(level="warning", message=message, path=str(archive)))
    graymap = next((p.depth for p in pairs if p.depth is not None and p.depth.suffix.lower() == ".pgm"), None)
    with suppress(DataError):  # unreadable: that was said above
        if graymap is not None and read_stored(graymap).swapped:
            message = f"'{graymap}' has its bytes in the wrong order for PGM; they are put right in reading"
            findings.append(Finding(level="info", message=message, path=str(graymap)))
    return findings
