"""A teacher's final depth on a batch: what is kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kdcli.errors import DataError
from kdcli.networks.read_out import own_map, read_out_of, resize_map
from kdcli.types import DepthKind

TINY = 1e-6
"""What a disparity of exactly 0 (infinitely far) is kept as, since 0 means unknown."""


@torch.no_grad()
def final_depth(
    teacher: nn.Module, image: Tensor, size: tuple[int, int] | None, *, flip: bool, focal: Tensor | None = None,
    ids: Sequence[str] = (),
) -> Tensor:
    """Return a teacher's final depth of B images at H x W: B x H x W float32, 0 where it has no opinion.

    Its own read-out is followed: focal length, clip, resize; with ``flip`` the mean with the mirrored image. size: None
    = that of the teacher's own maps. focal: B focal lengths in pixels of the images as they are given.

    Raises:
        DataError: the teacher gives something other than numbers; the message names the image.
    """
    depth, known = _once(teacher, image, size, focal, ids)
    if flip:
        other, also = _once(teacher, image.flip(-1), size, focal, ids)
        depth, known = (depth + other.flip(-1)) / 2, known & also.flip(-1)
    if DepthKind(str(teacher.depth_kind)) in (DepthKind.METRIC, DepthKind.SCALE_INVARIANT):
        known = known & (depth > 0)
    else:
        depth = torch.where(depth == 0, TINY, depth)
    return torch.where(known, depth, 0)[:, 0]


def _once(
    teacher: nn.Module, image: Tensor, size: tuple[int, int] | None, focal: Tensor | None, ids: Sequence[str]
) -> tuple[Tensor, Tensor]:
    said, read = teacher(image), read_out_of(teacher)
    values = own_map(said, read, focal)
    size = size or (int(values.shape[-2]), int(values.shape[-1]))
    known = torch.ones_like(values, dtype=torch.bool) if said.valid is None else said.valid.to(torch.bool)
    sound = (torch.isfinite(values) | ~known).flatten(1).all(dim=1)
    if not bool(sound.all()):
        first = sound.tolist().index(False)
        raise DataError(
            f"the teacher gives something other than numbers for image '{ids[first] if ids else first}'; "
            "look at it with: kdcli data show"
        )
    if said.valid is None:
        depth = resize_map(values, size, read.resize)
        return depth, torch.ones_like(depth, dtype=torch.bool)
    # Numbers where the teacher has no opinion must not leak into their neighbours: weigh, resize, divide.
    share = resize_map(known.float(), size, read.resize)
    depth = resize_map(torch.where(known, values, 0), size, read.resize) / share.clamp(min=TINY)
    nearest = known if known.shape[-2:] == size else interpolate(known.float(), size, mode="nearest-exact") > 0.5
    return depth, nearest & (share > 0)
