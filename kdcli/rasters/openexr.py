"""OpenEXR files as depth maps: one channel of floats."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdcli.errors import DataError, KdcliError
from kdcli.rasters.guards import must_exist, within_limit
from kdcli.rasters.packages import needed
from kdcli.rasters.places import Place, open_place

_NAMES = ("Z", "depth", "Depth", "D", "Y", "V", "R")
"""Names of the channel that is depth, the surest first; colours that are all alike, as OpenCV writes them, are R."""
_MAGIC = b"\x76\x2f\x31\x01"


def read_exr(place: Place, key: str | None = None) -> NDArray[np.float32]:
    """Return the depth of an OpenEXR file, H x W. key: its channel; else the only one, or one of the usual names.

    Raises:
        DataError: not readable, several channels that may be meant, or too large.
    """
    must_exist(place)
    with open_place(place) as stream:
        if stream.read(4) != _MAGIC:
            raise DataError(f"'{place}' is no OpenEXR file; write it again")
    library = needed("OpenEXR", place, "an OpenEXR file")
    with _on_disk(place) as path:
        try:
            header = library.File(str(path), separate_channels=True, header_only=True).header()
            (x0, y0), (x1, y1) = (tuple(map(int, corner)) for corner in header["dataWindow"])
            within_limit(place, (x1 - x0 + 1) * (y1 - y0 + 1), (x1 - x0 + 1, y1 - y0 + 1))
            if any((np.asarray(a) != np.asarray(b)).any()
                   for a, b in zip(header["dataWindow"], header["displayWindow"], strict=True)):
                raise DataError(f"'{place}' holds a cut of its picture (data window); write the whole picture")
            channels = library.File(str(path), separate_channels=True).channels()
            return _depth(place, {str(name): channel.pixels for name, channel in channels.items()}, key)
        except KdcliError:
            raise
        except Exception as error:  # the library raises RuntimeError and others for damaged files
            reason = " ".join(str(error).replace(str(path), "").split())[:100] or type(error).__name__
            raise DataError(f"'{place}' is truncated or broken ({reason}); write it again") from None


def _depth(place: Place, channels: dict[str, NDArray[Any]], key: str | None) -> NDArray[np.float32]:
    names = [key] if key is not None else [name for name in _NAMES if name in channels] or list(channels)
    if key is None and names[0] == "R":
        alike = all(np.array_equal(channels["R"], channels[name], equal_nan=True) for name in "GB" if name in channels)
        names = names[:1] if alike else list(channels)
    if names[0] not in channels or (len(names) > 1 and names[0] not in _NAMES[:6]):
        listed = ", ".join(channels)[:200]
        raise DataError(f"'{place}' has channels {listed}, none of which is surely depth; name it Z")
    return np.asarray(channels[names[0]], np.float32)


@contextmanager
def _on_disk(place: Place) -> Iterator[Path]:
    """Yield a path of the file: the library opens nothing else."""
    if isinstance(place, Path):
        yield place
        return
    with tempfile.NamedTemporaryFile(suffix=".exr") as copy:
        with open_place(place) as stream:
            copy.write(stream.read())
        copy.flush()
        yield Path(copy.name)
