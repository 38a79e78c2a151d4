"""Numbers on disk that Pillow alone does not read right, and the guards in front of every decoder.

``kdcli.images`` is what the rest of the project uses; this holds the formats that it does not leave to Pillow: NumPy
arrays, PGM files, and the TIFFs of other number types.
"""

from __future__ import annotations

from kdcli.rasters.arrays import array_type, read_array
from kdcli.rasters.graymaps import graymap_bits, read_pgm
from kdcli.rasters.guards import must_exist, pixel_limit, within_limit
from kdcli.rasters.tiffs import Tiff, is_tiff

__all__ = [
    "Tiff", "array_type", "graymap_bits", "is_tiff", "must_exist", "pixel_limit", "read_array", "read_pgm",
    "within_limit",
]
