"""Images and depth maps on disk: read with guards, written whole.

Images become 3 x H x W float32 RGB in 0..1, depth maps H x W float32 with a mask. Every failure is one ``DataError``
line that names the file and what to do about it.
"""

from __future__ import annotations

from kdcli.images.depths import (
    DEPTH_SUFFIXES,
    FURTHEST,
    NO_VALUE,
    SCALES,
    UNITS_NOTE,
    Form,
    StoredDepth,
    depth_form,
    read_depth,
    read_stored,
)
from kdcli.images.lens import focal_of
from kdcli.images.metres import Rig, refuse_other_numbers, to_metres
from kdcli.images.opening import opened
from kdcli.images.pictures import (
    IMAGE_SUFFIXES,
    Picture,
    image_size,
    picture_bytes,
    read_image,
    read_picture,
    turned_by,
    write_image,
)
from kdcli.images.reduced import read_reduced
from kdcli.images.upright import is_upright, like, turn
from kdcli.images.writing import (
    depth_npy,
    depth_units,
    ids_within_16_bits,
    units_note,
    units_png,
    write_depth_npy,
    write_depth_png,
    write_units_png,
)

__all__ = [
    "DEPTH_SUFFIXES", "FURTHEST", "IMAGE_SUFFIXES", "NO_VALUE", "SCALES", "UNITS_NOTE", "Form", "Picture",
    "Rig", "StoredDepth", "depth_form", "depth_npy", "depth_units", "focal_of", "ids_within_16_bits", "image_size",
    "is_upright", "like", "opened", "picture_bytes", "read_depth", "read_image", "read_picture", "read_reduced",
    "read_stored", "refuse_other_numbers", "to_metres", "turn", "turned_by", "units_note", "units_png",
    "write_depth_npy", "write_depth_png", "write_image", "write_units_png",
]
