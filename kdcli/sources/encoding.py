"""How the depth of a folder is stored, as the person who has it says: ``codec=`` and what goes with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kdcli.codecs import BY_TYPE, Codec, find_codec
from kdcli.errors import ConfigError
from kdcli.images import DEPTH_SUFFIXES, Rig
from kdcli.sources.texts.numbers import FOCAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A row of the table of encodings with what it leaves open.

    focal: pixels, of all images. rig: what turns disparity into depth. furthest: metres beyond which depth is none.
    """

    codec: Codec = BY_TYPE
    focal: float | None = None
    rig: Rig | None = None
    furthest: float | None = None

    @property
    def disparity(self) -> bool:
        """Whether maps are disparity, so that what is called so is one."""
        return self.codec.meaning == "disparity"

    @property
    def endings(self) -> frozenset[str]:
        """Endings of the files that may hold such depth, lower case."""
        own = frozenset(f".{name}" for name in self.codec.containers)
        return own if self.codec.headerless else DEPTH_SUFFIXES | own

    def scale(self, asked: float | None) -> float | None:
        """Return the stored units per metre: those asked for, else the encoding's, else None."""
        return self.codec.scale if asked is None else asked


def said_encoding(
    codec: str | None, *, focal: float | None, focal_baseline: float | None, doffs: float, max_depth: float | None
) -> Encoding:
    """Return what options of a source say.

    Raises:
        ConfigError: an unknown encoding, a number that cannot be, or one that the encoding has no use for.
    """
    row = BY_TYPE if codec is None else find_codec(codec)
    if focal is not None and not FOCAL[0] <= focal <= FOCAL[1]:
        raise ConfigError(f"focal={focal:g} is no focal length in pixels; give one of {FOCAL[0]:g} to {FOCAL[1]:g}")
    if max_depth is not None and not max_depth > 0:
        raise ConfigError(f"max_depth={max_depth:g} is no distance in metres; leave it out to keep all depth")
    rig = None
    if row.meaning == "disparity":
        if focal_baseline is None or not 0 < focal_baseline < math.inf:
            given = "" if focal_baseline is None else f", not {focal_baseline:g}"
            raise ConfigError(f"codec={row.name} is disparity: give focal_baseline= (focal length in pixels times "
                              f"baseline in metres){given}")
        rig = Rig(focal_baseline=focal_baseline, offset=doffs)
    elif focal_baseline is not None or doffs:
        option = "focal_baseline" if focal_baseline is not None else "doffs"
        raise ConfigError(f"{option}= is of disparity, and codec={row.name} is none; leave it out or give "
                          "codec=disparity")
    return Encoding(codec=row, focal=focal, rig=rig, furthest=max_depth)
