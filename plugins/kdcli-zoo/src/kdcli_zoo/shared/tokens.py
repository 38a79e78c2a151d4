"""Inner features as tokens: a row for each cell of a grid over each image.

Methods that compare the samples of a batch were made for batches of 64 to 128 images. Depth is trained on 4 to 16, so
that a cell of a g x g grid stands for a sample: N = B g g. It also bounds their memory, which grows with N squared.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from kdcli.errors import SpecError
from kdcli.maps import widen


def tokens(feature: Tensor, grid: int) -> Tensor:
    """Return the means of B x C x h x w over a grid x grid raster, as (B grid grid) x C in at least float32.

    Image by image, each row by row. A feature smaller than the grid gives some of its cells twice.
    """
    pooled = functional.adaptive_avg_pool2d(widen(feature), grid)
    return pooled.flatten(2).transpose(1, 2).flatten(0, 1)


def check_grid(grid: int) -> None:
    """Check the side of a grid.

    Raises:
        SpecError: not 1 to 64.
    """
    if not 1 <= grid <= 64:
        raise SpecError(f"grid={grid} is no side of a grid of cells; use 1 to 64, for example 4")
