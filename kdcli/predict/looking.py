"""Show a model a picture and read its depth as its authors do."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.networks.read_out import own_map, own_spread, read_out_of, resize_map, resize_spread
from kdcli.networks.shown_size import Asked, shown_size
from kdcli.predict.writing import Said
from kdcli.types import Prediction, ReadOut
from kdcli.uncertainty import WHO, Spread, both_views


@torch.inference_mode()
def look(
    model: nn.Module, image: Tensor, device: torch.device | str = "cpu", asked: Asked | None = "own",
    focal: float | None = None, uncertainty: bool = False,
) -> Said:
    """Return what a model on ``device`` says of a picture, 3 x H x W in 0..1, at its size, in the model's own numbers.

    The model's ``read_out`` is followed: focal length, clip, resize, mirror average. asked, focal, uncertainty: as
    ``size``, ``focal`` and ``uncertainty`` of ``kdcli.predict.predict``.

    Raises:
        ConfigError: uncertainty of a model that does not tell.
    """
    picture_B3HW = image[None].to(device)
    own = (int(image.shape[-2]), int(image.shape[-1]))
    size = shown_size(model, asked, own)
    if size is not None and size != own:
        picture_B3HW = functional.interpolate(
            picture_B3HW, size=size, mode="bilinear", align_corners=False, antialias=True
        ).clamp(0, 1)
    read = read_out_of(model)
    # The network sees a smaller picture through a shorter lens.
    seen = None if focal is None else torch.tensor([focal * picture_B3HW.shape[-1] / own[1]], device=device)
    prediction = model(picture_B3HW)
    spread = _spread(prediction, read, seen, own) if uncertainty else None
    depth = resize_map(own_map(prediction, read, seen), own, read.resize)
    valid = torch.ones_like(depth, dtype=torch.bool)
    if prediction.valid is not None:
        valid &= _at_size(prediction.valid, own)
    if read.flip:
        mirrored = model(picture_B3HW.flip(-1))
        other = resize_map(own_map(mirrored, read, seen), own, read.resize).flip(-1)
        if spread is not None:
            back = _spread(mirrored, read, seen, own).map(lambda one: one.flip(-1))
            spread = both_views(spread, back, depth, other)
        depth = (depth + other) / 2
        if mirrored.valid is not None:
            valid &= _at_size(mirrored.valid, own).flip(-1)
    known = torch.isfinite(depth) & valid
    maps = {} if spread is None else {"std": spread.std, "entropy": spread.entropy}
    return Said(
        seen=(int(picture_B3HW.shape[-2]), int(picture_B3HW.shape[-1])), depth=depth[0, 0].cpu(),
        valid=known[0, 0].cpu(), not_finite=int((valid & ~known).sum()),
        maps={name: one[0, 0].cpu() for name, one in maps.items() if one is not None},
    )


def _spread(prediction: Prediction, read: ReadOut, focal: Tensor | None, size: tuple[int, int]) -> Spread:
    found = own_spread(prediction, read, focal)
    if found is None:
        raise ConfigError(f"this model gives no distribution over depth; {WHO}, or leave out --uncertainty")
    return resize_spread(found, size, read.resize)


def _at_size(valid_B1HW: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(valid_B1HW.float(), size=size, mode="nearest") > 0.5
