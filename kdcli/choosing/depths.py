"""A look at the depth that a few images of a source come with."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcli.protocols import Source

LOOKED_AT = 3
"""Images whose depth is looked at."""
_LAST = 10**7
"""The image that is looked at at most of a source that is longer, or endless."""


def some_depths(source: Source) -> Tensor:
    """Return the known depth of a few images, in metres, one number a pixel; empty where there is none.

    Raises:
        DataError: an image cannot be read.
    """
    last = min(len(source), _LAST) - 1
    looked = sorted({round(i * last / (LOOKED_AT - 1)) for i in range(LOOKED_AT)})
    samples = [source[i] for i in looked]
    found = [s.depth[s.depth > 0 if s.valid is None else s.valid] for s in samples if s.depth is not None]
    return torch.cat(found).double() if found else torch.empty(0, dtype=torch.float64)
