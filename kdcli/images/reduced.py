"""Photographs read smaller than they are, for training: a JPEG is decoded at a half, a quarter or an eighth.

A JPEG keeps blocks of frequencies, and leaving out the high ones of each gives a smaller picture at a fraction of the
time. What that is larger than wanted is filtered as usual. The numbers are nearly those of decoding the whole picture,
not quite: where they must be the same (evaluation, kept depth of teachers), ``read_picture`` is the one to use.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from kdcli.images.opening import opened
from kdcli.images.pictures import GREY_16, Picture, coloured, is_array, read_picture, shares
from kdcli.images.upright import loaded_upright, orientation
from kdcli.rasters import Place
from kdcli.rasters.tiffs import floating

_HALVED = ("JPEG", "MPO")


def read_reduced(path: Place, size: tuple[int, int]) -> Picture:
    """Read a photograph at a size of (height, width), 8 bits a channel; one that is no larger comes as it is.

    What is decoded is never smaller than wanted; the rest is done by the filter that batches are resized with.

    Raises:
        DataError: as ``kdcli.images.read_picture``.
    """
    picture = None if is_array(path) else _smaller(path, size)
    return read_picture(path) if picture is None else picture


def _smaller(path: Place, size: tuple[int, int]) -> Picture | None:
    """Return a photograph that is larger than wanted at the size that is; None where it is not, or has 16 bits."""
    with opened(path) as image:
        if image.mode in GREY_16 or floating(image):
            return None
        # A TIFF opens with the size that it will have upright.
        lies = image.format != "TIFF" and orientation(image) >= 5
        whole = image.size if lies else image.size[::-1]
        if whole[0] < size[0] or whole[1] < size[1] or whole == size:
            return None
        if image.format in _HALVED:
            image.draft(None, size if lies else size[::-1])
        upright, turned = loaded_upright(image)
        small = coloured(upright, path)
        if small.size != size[::-1]:
            small = small.resize(size[::-1], Image.Resampling.BILINEAR)
    return Picture(image=torch.from_numpy(shares(np.asarray(small))), turned=turned, whole=whole)
