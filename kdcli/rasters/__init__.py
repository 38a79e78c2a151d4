"""Numbers on disk that Pillow alone does not read right, and the guards in front of every decoder.

``kdcli.images`` is what the rest of the project uses; this holds the formats that it does not leave to Pillow: NumPy
arrays, PGM, PFM, DPT, HDF5, MATLAB and OpenEXR files, and the TIFFs of other number types; and where a file or an array
may be (``places``).
"""

from __future__ import annotations

from kdcli.rasters.arrays import array_type, read_array
from kdcli.rasters.graymaps import graymap_bits, read_pgm
from kdcli.rasters.guards import must_exist, pixel_limit, within_limit
from kdcli.rasters.places import Element, Member, Place, ending_of, file_of, open_place
from kdcli.rasters.tiffs import Tiff, is_tiff

__all__ = [
    "Element", "Member", "Place", "Tiff", "array_type", "ending_of", "file_of", "graymap_bits", "is_tiff",
    "must_exist", "open_place", "pixel_limit", "read_array", "read_pgm", "within_limit",
]
