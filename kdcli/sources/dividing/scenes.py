"""Which images show the same scene, by the folders that their data set keeps scenes in.

Frames of one scene look alike, so that a network that has seen some of them knows the others. The weather variations
of Virtual KITTI 2 are one scene, and so are two scans of one room of ScanNet, or two recordings of one of NYU.
"""

from __future__ import annotations

import re

from kdcli.sources.splitting import scene_of

_LAYOUTS = tuple(
    re.compile(rf"(?:^|.*/){pattern}")
    for pattern in (
        r"(\d{4}_\d\d_\d\d_drive_\d{4})_(?:sync|extract)[/_]",  # KITTI, a drive
        r"(Scene\d\d)/",  # Virtual KITTI 2, in any weather and from any camera
        r"(scene\d{4})_\d\d/",  # ScanNet, a room
        r"(ai_\d{3}_\d{3})/",  # Hypersim
        r"((?:indoors|outdoor)/scene_\d{5})/",  # DIODE
        r"([a-z][a-z_]*_\d{4})[a-z]?/",  # NYU Depth v2, a room
    )
)


def scene_name(name: str, level: int | None = None) -> str:
    """Return the scene of an image by its id; level: the first so many folders instead of what layouts say."""
    if level is not None:
        return "/".join(name.split("/")[:-1][:level])
    for layout in _LAYOUTS:
        if (match := layout.match(name)) is not None:
            return match[1]
    return scene_of(name)
