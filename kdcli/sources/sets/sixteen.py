"""Sets whose depth has 16 bits, and options that several sets have."""

from __future__ import annotations

from kdcli.errors import ConfigError, DataError
from kdcli.images import StoredDepth
from kdcli.rasters import Place


def sixteen_bits(stored: StoredDepth, place: Place, name: str) -> StoredDepth:
    """Return the depth of a set that has 16 bits.

    name: of the set.

    Raises:
        DataError: it has 8, of which no scale makes metres.
    """
    if stored.bits == 8:
        raise DataError(f"'{place}' has 8 bits, and the depth of '{name}' has 16: a viewer or a converter wrote it "
                        "again; give the original file")
    return stored


def distance(max_depth: float | None) -> float | None:
    """Return the metres beyond which depth is none.

    Raises:
        ConfigError: no distance.
    """
    if max_depth is not None and not max_depth > 0:
        raise ConfigError(f"max_depth={max_depth:g} is no distance in metres; leave it out to keep all depth")
    return max_depth
