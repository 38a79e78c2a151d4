"""Point clouds on disk: binary PLY, and GLB (glTF 2.0) for viewers and browsers."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from kdcli.errors import ConfigError
from kdcli.files import atomic
from kdcli.predict.cloud import Cloud
from kdcli.version import __version__

ENDINGS = (".ply", ".glb")
"""Of files that hold a cloud, lower case."""

_MAGIC, _JSON, _BIN = b"glTF", b"JSON", b"BIN\0"
_FLOAT, _USHORT, _ARRAY_BUFFER, _POINTS = 5126, 5123, 34962, 0


def write_cloud(path: Path, cloud: Cloud) -> None:
    """Write a cloud in the format of the path's ending, atomically.

    Raises:
        ConfigError: another ending, or a GLB beyond its 4 GB.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"'{path}' does not end like a point cloud; write for example {path.stem or 'cloud'}.ply")
    parts = ply(cloud) if path.suffix.lower() == ".ply" else glb(cloud)
    with atomic(path) as temporary, temporary.open("wb") as stream:
        for part in parts:
            stream.write(part)


def ply(cloud: Cloud) -> list[bytes]:
    """Return a cloud as binary little-endian PLY 1.0: x, y, z in float, red, green, blue in sRGB bytes."""
    header = [
        "ply", "format binary_little_endian 1.0", f"comment kdcli {__version__}",
        f"comment x right, y up, camera at 0 looking along -z, unit: {'metre' if cloud.metres else 'unknown'}",
        f"element vertex {len(cloud.xyz)}",
        *(f"property float {name}" for name in "xyz"),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        "end_header",
    ]  # fmt: skip
    points = np.empty(len(cloud.xyz), [("xyz", "<f4", 3), ("rgb", "u1", 3)])
    points["xyz"], points["rgb"] = cloud.xyz, cloud.rgb
    return ["\n".join([*header, ""]).encode("ascii"), points.tobytes()]


def glb(cloud: Cloud) -> list[bytes]:
    """Return a cloud as binary glTF 2.0: one mesh of one POINTS primitive with POSITION and COLOR_0.

    glTF's vertex colours are linear light. They take 16 bits, since 8 would lose the shadows, and four of them, since
    the parts of a vertex begin at multiples of four bytes.

    Raises:
        ConfigError: more than 4 GB.
    """
    count = len(cloud.xyz)
    places = cloud.xyz.astype("<f4").tobytes()
    colours = np.full((count, 4), 65535, "<u2")
    colours[:, :3] = np.round(_linear() * 65535)[cloud.rgb]
    lights = colours.tobytes()
    views = [{"buffer": 0, "byteOffset": at, "byteLength": size, "target": _ARRAY_BUFFER}
             for at, size in ((0, len(places)), (len(places), len(lights)))]
    unit = "metre" if cloud.metres else "unknown"
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"kdcli {__version__}", "extras": {"unit": unit}},
        "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 1}, "mode": _POINTS}]}],
        "accessors": [
            {"bufferView": 0, "componentType": _FLOAT, "count": count, "type": "VEC3",
             "min": cloud.xyz.min(0).tolist(), "max": cloud.xyz.max(0).tolist()},
            {"bufferView": 1, "componentType": _USHORT, "normalized": True, "count": count, "type": "VEC4"},
        ],
        "bufferViews": views, "buffers": [{"byteLength": len(places) + len(lights)}],
    }  # fmt: skip
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)  # chunks are multiples of four bytes; the others are already
    whole = 12 + 8 + len(text) + 8 + len(places) + len(lights)
    if whole >= 1 << 32:
        raise ConfigError(f"{count} points are beyond the 4 GB of a GLB; write .ply")
    return [
        struct.pack("<4sII", _MAGIC, 2, whole), struct.pack("<I4s", len(text), _JSON), text,
        struct.pack("<I4s", len(places) + len(lights), _BIN), places, lights,
    ]  # fmt: skip


def _linear() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return linear light of the 256 sRGB levels (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
