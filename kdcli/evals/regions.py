"""From a map of a whole picture to the part of it that a protocol shows to models.

Networks are shown the cut; what a tool wrote to a file is of the whole picture, and has to be cut as the ground truth
was.
"""

from __future__ import annotations

from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.evals.batches import Prepared, Size
from kdcli.evals.crops import middle_rows, rows_of
from kdcli.evals.protocol import Protocol
from kdcli.networks.read_out import resize_map


def region_of(map_B1HW: Tensor, prepared: Prepared, rules: Protocol, how: str) -> Tensor:
    """Return the region that models are shown of a map of the whole picture, which is first brought to its size.

    how: a way of ``ReadOut.resize``; each step that resizes the ground truth resizes the map so.
    """
    assert prepared.batch.depth is not None
    shown: Size = (int(prepared.batch.depth.shape[-2]), int(prepared.batch.depth.shape[-1]))
    if prepared.whole is None:
        return resize_map(map_B1HW, shown, how)
    (height, width), depth = prepared.whole
    made = resize_map(map_B1HW, depth, how)
    if rules.band is not None:
        made, height = middle_rows(made, rules.band), rows_of(height, rules.band)
    if rules.frame is not None:
        size = rules.frame.scaled(height, width)
        made = rules.frame.cut(made if size is None else resize_map(made, size, how))
    return resize_map(made, shown, how)


def refuse_doubt(size: Size, prepared: Prepared, rules: Protocol, name: str) -> None:
    """Refuse a map of which nobody can tell whether it is of the picture or of the protocol's cut.

    Raises:
        ConfigError: it has the size of the cut, or a half, a third and so on of it, and of the picture none of these.
    """
    frame = rules.frame
    if frame is None or frame.stretch or prepared.whole is None or any(_part(size, one) for one in prepared.whole):
        return
    for cut in ((frame.height, frame.width), frame.then):
        if cut is not None and (part := _part(size, cut)):
            whole = "x".join(map(str, prepared.whole[1]))
            what = f"1/{part} of the size" if part > 1 else "the size"
            raise ConfigError(
                f"'{name}' has predictions of {size[0]}x{size[1]}, {what} that protocol '{rules.name}' cuts out of "
                f"{whole}; add of=cut if they were made from the cut, of=picture if from the whole picture"
            )


def is_turned(size: Size, prepared: Prepared) -> bool:
    """Whether a map has the height and width of its picture exchanged, whatever its size."""
    whole = (_size(prepared.batch.image), _size(prepared.depth)) if prepared.whole is None else prepared.whole
    return any(size[0] * one[0] == size[1] * one[1] and one[0] != one[1] for one in whole)


def _part(size: Size, of: Size) -> int:
    """Return how many times a size goes into another, alike in height and width; 0 where it does not."""
    times = of[0] // size[0]
    return times if times and (size[0] * times, size[1] * times) == of else 0


def _size(map_BCHW: Tensor) -> Size:
    return int(map_BCHW.shape[-2]), int(map_BCHW.shape[-1])
