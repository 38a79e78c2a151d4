"""A film on disk: pictures with their own times, encoded so that players everywhere show it."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional

from kdcli.errors import ConfigError, DataError
from kdcli.predict.videos import pyav
from kdcli.version import __version__

CODECS = {
    ".mp4": ("libx264", "mpeg4"), ".m4v": ("libx264", "mpeg4"), ".mov": ("libx264", "mpeg4"),
    ".mkv": ("libx264", "mpeg4"), ".webm": ("libvpx-vp9",),
}
"""Endings of films that are written, lower case, and their encoders, the best first; not every build has all."""

_OPTIONS = {
    # Without B-frames a frame is decoded when it is shown, and the length of a film with uneven times stays right.
    "libx264": {"crf": "18", "preset": "veryfast", "bf": "0"},
    "libvpx-vp9": {"crf": "28", "b": "0", "deadline": "realtime", "cpu-used": "6"},
    "mpeg4": {"qscale": "3"},
}
_BT709, _MPEG_RANGE = 1, 1
_COMMENT = "made by kdcli"
_CLOCK = 65535
"""Most ticks a second of the clock of MPEG-4 Part 2, the encoder that every build has."""


def is_film(path: Path) -> bool:
    """Whether a path ends like a film that can be written."""
    return path.suffix.lower() in CODECS


def require_free(path: Path) -> None:
    """Refuse to write over a film that kdcli did not make.

    Raises:
        DataError: there is one.
    """
    if not path.exists():
        return
    av = pyav()
    try:
        with av.open(str(path)) as container:
            ours = _COMMENT in container.metadata.get("comment", container.metadata.get("COMMENT", ""))
    except (av.FFmpegError, OSError, ValueError):
        ours = False
    if not ours:
        raise DataError(f"'{path}' is there and was not made by kdcli; use another --out, or move it")


class FilmFile:
    """A film that grows picture by picture; it can be played once it is closed.

    rate: frames a second that are told to players. step: seconds of a tick of the times that ``add`` is given.
    """

    def __init__(self, path: Path, rate: Fraction, step: Fraction) -> None:
        self._av = pyav()
        known = [one for one in CODECS[path.suffix.lower()] if one in self._av.codecs_available]
        if not known:
            raise ConfigError(f"this build of PyAV writes no '{path.suffix}'; write .mp4, or `pip install av`")
        self._codec = known[0]
        self._rate, self._step = rate, step if step.denominator <= _CLOCK else Fraction(1, _CLOCK)
        self._ticks = step / self._step
        self._container = self._av.open(str(path), "w")
        self._container.metadata["comment"] = f"{_COMMENT} {__version__}"
        self._stream: Any = None
        self._last = -1
        self._lasts: dict[int, int] = {}
        self.count = 0
        """Pictures that it was given."""

    def add(self, picture_3HW: Tensor, time: int, lasts: int) -> None:
        """Add a picture in 0..1 that is shown at a time and lasts so many ticks.

        Sides become even, which the encoders need: a row or column is repeated.

        Raises:
            DataError: it has another size than those before.
        """
        tall, wide = (side % 2 for side in picture_3HW.shape[-2:])
        if tall or wide:
            picture_3HW = functional.pad(picture_3HW[None], (0, wide, 0, tall), mode="replicate")[0]
        pixels = picture_3HW.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
        if self._stream is None:
            self._begin(pixels.shape[1], pixels.shape[0])
        elif (self._stream.height, self._stream.width) != pixels.shape[:2]:
            raise DataError(f"the pictures change their size after {self.count} of them, which a film cannot")
        frame = self._av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        self._last = max(self._last + 1, round(time * self._ticks))
        frame.pts, frame.time_base = self._last, self._step
        self._lasts[self._last] = max(1, round(lasts * self._ticks))
        self._mux(self._stream.encode(frame))
        self.count += 1

    def close(self) -> None:
        """Bring what is left into the file and end it; again without effect."""
        if self._container is None:
            return
        if self._stream is not None:
            with suppress(self._av.EOFError):  # it was told before, by a call that was interrupted
                self._mux(self._stream.encode(None))
        self.drop()

    def drop(self) -> None:
        """Let go of the file, whatever it holds."""
        if self._container is not None:
            container, self._container = self._container, None
            container.close()

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:  # an encoder gives each picture the length that follows from the rate
            packet.duration = self._lasts.pop(packet.pts, packet.duration)
            self._container.mux(packet)

    def _begin(self, width: int, height: int) -> None:
        self._stream = self._container.add_stream(self._codec, rate=self._rate, options=_OPTIONS[self._codec])
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        context = self._stream.codec_context
        context.time_base = self._step
        # Without these, players guess by the size.
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _MPEG_RANGE
