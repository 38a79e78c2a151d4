"""A look at the depth that a few images of a source come with."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.protocols import Source
from kdcli.sources.parts import has_depth
from kdcli.types import Sample

LOOKED_AT = (3, 33)
"""Images whose depth is looked at, evenly chosen: the first number, or where none of these has any, the second."""
_LAST = 10**7
"""The image that is looked at at most of a source that is longer, or endless."""


def some_depths(source: Source) -> Tensor:
    """Return the known depth of a few images, in metres, one number a pixel; empty where there is none.

    Raises:
        DataError: an image cannot be read.
    """
    last = min(len(source), _LAST) - 1
    found: dict[int, Tensor | None] = {}
    for many in LOOKED_AT:
        for i in sorted({round(i * last / (many - 1)) for i in range(many)} - found.keys()):
            found[i] = _known(source[i])
        if (known := [depth for depth in found.values() if depth is not None]) or not has_depth(source):
            return torch.cat(known).double() if known else torch.empty(0, dtype=torch.float64)
    return torch.empty(0, dtype=torch.float64)


def _known(sample: Sample) -> Tensor | None:
    if sample.depth is None:
        return None
    return sample.depth[sample.depth > 0 if sample.valid is None else sample.valid]
