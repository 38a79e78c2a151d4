"""Frames of ScanNet whose camera was lost: their poses are infinite. Depth of one image needs no pose; others do."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence

from kdcli.rasters import Member
from kdcli.rasters.sensor_streams import POSE_BEFORE
from kdcli.sources.pairs import Pair
from kdcli.types import Finding

_LOOKED = 64
"""Poses that are looked at."""
_POSE = struct.Struct("<16f")


def about_poses(pairs: Sequence[Pair]) -> list[Finding]:
    """Say how many of some frames have no pose, by their files or by what a ``.sens`` file has before each."""
    lost = [pair for pair in _some(pairs) if any(not math.isfinite(number) for number in _pose(pair))]
    if not lost:
        return []
    message = (
        f"{len(lost)} of {min(_LOOKED, len(pairs))} poses that were looked at are infinite, such as that of "
        f"'{lost[0].id}': the camera was lost there; depth is as good as elsewhere, and poses are not read"
    )
    return [Finding(level="info", message=message)]


def _some(pairs: Sequence[Pair]) -> Iterator[Pair]:
    count = min(_LOOKED, len(pairs))
    return (pairs[i * len(pairs) // count] for i in range(count))


def _pose(pair: Pair) -> Sequence[float]:
    """Return the numbers of a frame's pose; none where there is no such file or it holds something else."""
    image = pair.image
    try:
        if isinstance(image, Member):
            with image.archive.open("rb") as stream:
                stream.seek(image.offset - POSE_BEFORE)
                return _POSE.unpack(stream.read(_POSE.size))
        path = image.parent.parent / "pose" / f"{image.stem}.txt"  # type: ignore[union-attr]
        return [float(word) for word in path.read_text("utf-8").split()]
    except (OSError, ValueError, struct.error):
        return ()
