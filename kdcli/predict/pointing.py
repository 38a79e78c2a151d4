"""Which clouds of points are wanted, and through which lens each picture was taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from kdcli.cameras import Camera
from kdcli.errors import ConfigError, DataError
from kdcli.files import require_writable
from kdcli.images import focal_of
from kdcli.predict.cloud import EDGE, cloud_of
from kdcli.predict.cloud_files import ENDINGS, write_cloud
from kdcli.predict.inputs import Frame, Input
from kdcli.predict.writing import Said
from kdcli.types import POSITIVE_DEPTH, DepthKind

_NAME = "{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Clouds to write.

    path: ``.ply`` or ``.glb``; ``{name}`` in it is the picture's name, for several. intrinsics: fx, fy, cx, cy in
    pixels of the upright picture, see ``kdcli.cameras``. fov: degrees from its left to its right side. With neither:
    the focal length that was given for the model, else that of the photograph's metadata. edge: see
    ``kdcli.predict.cloud.at_edges``.
    """

    path: str
    intrinsics: Camera | None = None
    fov: float | None = None
    edge: float = EDGE

    def __post_init__(self) -> None:
        if Path(self.path).suffix.lower() not in ENDINGS:
            raise ConfigError(f"--points '{self.path}' ends neither in .ply nor in .glb; write for example cloud.glb")
        if self.intrinsics is not None and self.fov is not None:
            raise ConfigError("--intrinsics and --fov both say what the lens was; give one")
        if self.fov is not None and not 0 < self.fov < 180:
            raise ConfigError(f"--fov {self.fov:g} is no field of view; give degrees between 0 and 180, such as 60")
        if self.intrinsics is not None and not (
            all(map(math.isfinite, self.intrinsics)) and min(self.intrinsics[:2]) > 0
        ):
            text = ",".join(f"{one:g}" for one in self.intrinsics)
            raise ConfigError(f"--intrinsics {text} are no camera; give fx,fy,cx,cy in pixels, fx and fy above 0")
        if not 0 <= self.edge < 90:
            raise ConfigError(f"--edge {self.edge:g} is no angle; give degrees such as {EDGE:g}, or 0 to keep all")

    def check(self, model: nn.Module, items: Sequence[Input]) -> None:
        """Refuse what cannot work, before the work.

        Raises:
            ConfigError: depth of which no shape follows, or one file for several pictures. OSError: the file cannot be
                written there.
        """
        kind = DepthKind(model.depth_kind)  # type: ignore[arg-type]
        if kind not in POSITIVE_DEPTH:
            raise ConfigError(
                f"this model gives {kind}, which has an unknown offset: no shape in space follows from it; leave out "
                "--points, or bring the model to metres with `kdcli calibrate`"
            )
        if _NAME not in self.path and (len(items) > 1 or items[0].is_video):
            path = Path(self.path)
            raise ConfigError(
                f"--points '{self.path}' is one file, and there are several pictures; write for example "
                f"--points '{path.with_name(_NAME + path.suffix)}'"
            )
        require_writable(self.of(items[0].name))

    def of(self, name: str) -> Path:
        """Return where the cloud of a picture goes."""
        return Path(self.path.replace(_NAME, name))

    def write(self, model: nn.Module, frame: Frame, said: Said, focal: float | None) -> dict[str, Any]:
        """Write the cloud of a picture, and return what a sidecar says of it.

        Raises:
            DataError: nothing tells the lens, or no pixel has a point.
        """
        kind = DepthKind(model.depth_kind)  # type: ignore[arg-type]
        camera, origin = self.camera_of(frame, focal)
        cloud = cloud_of(
            frame.image, said.depth, said.valid, camera, metres=kind is DepthKind.METRIC, edge=self.edge
        )
        if not len(cloud.xyz):
            raise DataError(
                f"no pixel has a point: {cloud.holes} have no depth and {cloud.edges} at edges; try a smaller --edge"
            )
        path = self.of(frame.name)
        write_cloud(path, cloud)
        return {
            "file": str(path), "count": len(cloud.xyz), "unit": kind.unit, "camera": list(camera),
            "camera_from": origin, "holes": cloud.holes, "edges": cloud.edges, "edge": self.edge,
        }  # fmt: skip

    def camera_of(self, frame: Frame, focal: float | None) -> tuple[Camera, str]:
        """Return the camera of a picture, and what told it.

        Raises:
            DataError: nothing did.
        """
        if self.intrinsics is not None:
            return self.intrinsics, "--intrinsics"
        height, width = int(frame.image.shape[-2]), int(frame.image.shape[-1])
        if self.fov is not None:
            found, origin = width / 2 / math.tan(math.radians(self.fov) / 2), "--fov"
        elif focal is not None:
            found, origin = focal, "--focal"
        else:
            told = None if frame.clip else focal_of(frame.path)
            if told is None:
                raise DataError(
                    f"'{frame.path}' does not say through which lens it was taken; give --fov DEGREES (a phone's main "
                    "camera has about 65) or --intrinsics fx,fy,cx,cy"
                )
            found, origin = told, "EXIF"
        return (found, found, (width - 1) / 2, (height - 1) / 2), origin
