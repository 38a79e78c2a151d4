"""What is worth knowing of a source and mostly no fault: sizes, frames without ground truth, objects, other sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kdcli.errors import DataError
from kdcli.images import read_stored
from kdcli.sources.pairs import Pair
from kdcli.sources.validity import doubtful_arrays
from kdcli.types import Finding

_NYU_PART = "kv1/NYUdata/"
"""Folder of SUN RGB-D that holds the labelled images of NYU Depth v2."""


def about_pairs(pairs: Sequence[Pair], sizes: Counter[str]) -> list[Finding]:
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
    archive = next((p.depth for p in pairs if isinstance(p.depth, Path) and p.depth.suffix.lower() == ".npz"), None)
    if archive is not None and (unused := doubtful_arrays(archive)):
        message = f"'{archive}' has arrays that may be masks and are not used: {', '.join(unused)[:100]}"
        findings.append(Finding(level="warning", message=message, path=str(archive)))
    graymap = next((p.depth for p in pairs if p.depth is not None and p.depth.suffix.lower() == ".pgm"), None)
    with suppress(DataError):  # unreadable: that was said above
        if graymap is not None and read_stored(graymap).swapped:
            message = f"'{graymap}' has its bytes in the wrong order for PGM; they are put right in reading"
            findings.append(Finding(level="info", message=message, path=str(graymap)))
    return findings


def nyu_share(pairs: Sequence[Pair], told: Sequence[Finding]) -> tuple[dict[str, float] | None, list[Finding]]:
    """Return how many of SUN RGB-D's images are NYU's, None where none is; told: what was said before, of that too."""
    ours = [pair for pair in pairs if _NYU_PART in str(pair.image).replace("\\", "/")]
    if not ours:
        return None, []
    share = len(ours) / len(pairs)
    message = (
        f"{len(ours)} of {len(pairs)} images ({share:.1%}) are those of NYU Depth v2, such as '{ours[0].image}'; "
        "networks trained on NYU have seen them, so leave them out where they are measured"
    )
    known = any("NYU Depth v2" in finding.message for finding in told)
    finding = Finding(level="warning", message=message, path=str(ours[0].image))
    return {"images": len(ours), "share": share}, [] if known else [finding]


def about_objects(pairs: Sequence[Pair], counts: list[int]) -> tuple[dict[str, float] | None, list[Finding]]:
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
