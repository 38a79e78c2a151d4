"""Films and cameras as upright pictures with their time, through PyAV, which is an extra."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdcli.errors import ConfigError, DataError

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"})
"""Endings of files that are taken for videos, lower case."""

_CAMERA = re.compile(r"camera:(\d{1,3})")
_UNSPECIFIED, _HD = 2, 720
"""A film without a matrix for its colours is taken to have that of HD from this many rows on, as players do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture of a film. image: 3 x H x W in 0..1, upright. time: of ``Clip.step``, 0 at the first one. lasts: how
    long it is shown."""

    image: Tensor
    time: int
    lasts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """An open film. rate: frames a second. step: of its clock, seconds. count: frames that it says to have, or that
    follow from its length; None where nothing tells."""

    name: str
    rate: Fraction
    step: Fraction
    count: int | None
    _container: Any

    def shots(self) -> Iterator[Shot]:
        """Yield its pictures in the order in which they are shown.

        Raises:
            DataError: it cannot be decoded from some picture on.
        """
        first = last = None
        tick = max(1, round(1 / (self.rate * self.step)))
        try:
            for frame in self._container.decode(video=0):
                if frame.pts is None:
                    time = 0 if last is None else last + tick
                else:
                    first = frame.pts if first is None else first
                    # A clock that stands still or runs back cannot be written.
                    time = frame.pts - first if last is None else max(frame.pts - first, last + 1)
                last = time
                yield Shot(image=_upright(frame), time=time, lasts=frame.duration or tick)
        except (pyav().FFmpegError, IndexError, ValueError) as error:
            after = "" if last is None else " any further"
            raise DataError(f"'{self.name}' is no video that can be decoded{after} ({_why(error)}); "
                            "convert it to MP4") from error


def camera_of(path: Path) -> int | None:
    """Return which camera ``camera:N`` names; None for a file."""
    found = _CAMERA.fullmatch(str(path))
    return int(found[1]) if found else None


def require_pyav(path: Path) -> None:
    """Check that films can be read.

    Raises:
        ConfigError: PyAV is not installed.
    """
    if importlib.util.find_spec("av") is None:
        raise ConfigError(
            f"'{path}' is a video and PyAV is not installed; `pip install 'kdcli[video]'`, which is `pip install av`, "
            "or give frames as images"
        )


def pyav() -> Any:
    """Return the module; it has no types that would hold here."""
    return importlib.import_module("av")


@contextmanager
def open_clip(path: Path) -> Iterator[Clip]:
    """Open a film, or the camera that ``camera:N`` names.

    Raises:
        DataError: it is no film, or there is no such camera. ConfigError: cameras are not known on this system.
    """
    av, number = pyav(), camera_of(path)
    try:
        container = av.open(str(path)) if number is None else _camera(av, number)
    except (av.FFmpegError, OSError, ValueError) as error:
        if number is None:
            raise DataError(f"'{path}' is no video that can be decoded ({_why(error)}); convert it to MP4") from error
        raise DataError(f"'{path}' cannot be opened ({_why(error)}); connect a camera, or give a film") from error
    with container:
        if not container.streams.video:
            raise DataError(f"'{path}' is no video that can be decoded (it holds no pictures); give another file")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        step = Fraction(stream.time_base or 1 / rate)
        seconds = stream.duration * step if stream.duration else Fraction(container.duration or 0, av.time_base)
        count = None if number is not None else stream.frames or round(seconds * rate) or None
        yield Clip(name=str(path), rate=rate, step=step, count=count, _container=container)


def _camera(av: Any, number: int) -> Any:
    if sys.platform.startswith("linux"):
        return av.open(f"/dev/video{number}", format="v4l2")
    if sys.platform == "darwin":
        return av.open(f"{number}:none", format="avfoundation", options={"framerate": "30"})
    raise ConfigError(f"'camera:{number}' is known on Linux and macOS alone; record a film and give that")


def _upright(frame: Any) -> Tensor:
    """Return a picture as 3 x H x W in 0..1, turned as the film says."""
    matrix = "ITU709" if frame.colorspace == _UNSPECIFIED and frame.height >= _HD else None
    pixels = frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray()
    quarters = round(frame.rotation / 90) % 4  # against the clock, as NumPy turns
    turned = np.ascontiguousarray(np.rot90(pixels, quarters))
    return torch.from_numpy(turned).permute(2, 0, 1).float().div(255)


def _why(error: BaseException) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:100]
