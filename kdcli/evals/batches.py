"""From a source to batches that a protocol can measure: equal sizes together, decoded ahead, framed and masked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kdcli.cameras import crop_camera, resize_camera
from kdcli.errors import ConfigError
from kdcli.evals.ahead import ahead
from kdcli.evals.crops import middle_rows, resize_image
from kdcli.evals.listed import Listed, by_lists, counting
from kdcli.evals.protocol import Protocol
from kdcli.plugins.blame import blame
from kdcli.types import Batch, Sample

Size = tuple[int, int]

ENDLESS = 2**31 - 1
"""A source of at least this length has no end."""

_WAITING = 4
"""Batches' worth of samples that may wait for others of their size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A batch as a protocol wants it.

    batch: image at the size the model sees; depth and ``valid`` (only pixels that count) of the region that the model
    is shown. depth, valid: the ground truth that is measured, larger than the region when a protocol pastes.
    pixels: those that count, listed, where that is how they are measured. corner: top and left of the region in it.
    focal: B focal lengths in pixels of the image as the model sees it; None where the source does not know them.
    camera: focal lengths and centre in pixels of ``depth``, B x 4; None likewise. whole: sizes of image and ground
    truth before the protocol cut them.
    """

    batch: Batch
    depth: Tensor
    valid: Tensor
    pixels: tuple[Listed, ...] | None = None
    corner: tuple[int, int] = (0, 0)
    focal: Tensor | None = None
    camera: Tensor | None = None
    whole: tuple[Size, Size] | None = None


def positions(source: Any, limit: int | None) -> range:
    """Return the positions to evaluate.

    Raises:
        ConfigError: an endless source without a limit, or a limit below one.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit {limit} leaves no image; give at least 1")
    if len(source) >= ENDLESS and limit is None:
        name = getattr(source, "name", type(source).__name__)
        raise ConfigError(f"source '{name}' is endless; write count=N in its spec or give --limit N")
    return range(len(source) if limit is None else min(limit, len(source)))


def batches(
    source: Any, order: Sequence[int], *, batch_size: int, size: tuple[int, int] | None, device: torch.device
) -> Iterator[tuple[list[int], Batch]]:
    """Yield positions and batches of equal image and depth size on the device.

    A source with a ``batch`` method makes whole batches there, at ``size`` or, where that is None, at its own. Depth
    and ``valid`` of images without ground truth are zeros; ``labelled`` tells them apart.
    """
    if hasattr(source, "batch"):
        for begin in range(0, len(order), batch_size):
            indices = list(order[begin : begin + batch_size])
            with blame(source, "batch"):
                made = _complete(source.batch(indices, size, device))
            yield indices, made
        return
    waiting: dict[tuple[object, ...], list[tuple[int, Sample]]] = {}
    for index, sample in ahead(source, order, batch_size):
        depth = None if sample.depth is None else sample.depth.shape
        shape = (sample.image.shape, depth, sample.intrinsics is None)
        group = waiting.setdefault(shape, [])
        group.append((index, sample))
        if len(group) == batch_size:
            yield _stack(waiting.pop(shape), device)
        elif sum(map(len, waiting.values())) >= _WAITING * batch_size:
            # Pictures of very many sizes: give up the oldest group rather than hold them all.
            yield _stack(waiting.pop(next(iter(waiting))), device)
    for group in waiting.values():
        yield _stack(group, device)


def prepare(batch: Batch, protocol: Protocol, size: tuple[int, int] | None = None) -> Prepared:
    """Apply frame, range mask and crop of a protocol, then resize the image for the model.

    Raises:
        DataError: a frame or crop that does not fit the pictures.
    """
    assert batch.depth is not None and batch.valid is not None
    image, depth, valid = batch.image.float(), batch.depth.float(), batch.valid
    corner, frame = (0, 0), protocol.frame
    sizes = _size(image), _size(depth)
    magnified = 1.0
    camera = None if batch.intrinsics is None else _scaled(batch.intrinsics.double(), image, depth)
    if protocol.band is not None:
        whole = depth
        image, depth, valid = (middle_rows(one, protocol.band) for one in (image, depth, valid))
        camera = _moved(camera, (whole.shape[-2] - depth.shape[-2]) // 2, 0)
    if frame is not None:
        magnified = image.shape[-1]
        whole = depth
        image, depth, valid = frame.resize(image, depth, valid)
        camera = _scaled(camera, whole, depth)
        magnified = image.shape[-1] / magnified
        if frame.paste:
            corner = frame.corner(*image.shape[-2:])
        else:
            camera = _moved(camera, *frame.corner(*depth.shape[-2:]))
            depth, valid = frame.cut(depth), frame.cut(valid)
        image = frame.cut(image)
        if frame.then is not None and not frame.paste:
            across = image.shape[-1]
            whole = depth
            image, depth, valid = frame.finish(image, depth, valid)
            camera = _scaled(camera, whole, depth)
            magnified *= image.shape[-1] / across
    counted, pixels = _counted(depth, valid, protocol)
    region_depth, region_valid = depth, counted
    if frame is not None and frame.paste:
        region_depth, region_valid, pixels = frame.cut(depth), frame.cut(counted), None
    focal = None if batch.intrinsics is None else batch.intrinsics[:, 0] * magnified
    shown = replace(batch, image=image, depth=region_depth, valid=region_valid, instances=None, intrinsics=None)
    made = Prepared(
        batch=shown, depth=depth, valid=counted, pixels=pixels, corner=corner, focal=focal, camera=camera,
        whole=sizes,
    )
    return seen_at(made, size)


def _counted(depth: Tensor, valid: Tensor, protocol: Protocol) -> tuple[Tensor, tuple[Listed, ...] | None]:
    """Return the pixels that count: valid, finite, strictly within the range, inside the crop; listed on a CPU."""
    inside = slice(None), slice(None)
    if protocol.crop is not None:
        top, bottom, left, right = protocol.crop.bounds(int(depth.shape[-2]), int(depth.shape[-1]))
        inside = slice(top, bottom), slice(left, right)
    low, high = protocol.min_depth, torch.inf if protocol.max_depth is None else protocol.max_depth
    if by_lists(depth.device):
        made = [counting(*one, inside, low, high) for one in zip(depth, valid, strict=True)]
        return _together([mask for mask, _ in made]), tuple(pixels for _, pixels in made)
    counted = torch.zeros_like(valid)
    within = depth[:, :, *inside]
    # A comparison with what is no number is false, and so is one of infinity with itself.
    counted[:, :, *inside] = (within > low) & (within < high) & valid[:, :, *inside]
    return counted, None


def _scaled(camera: Tensor | None, before: Tensor, after: Tensor) -> Tensor | None:
    """Return cameras in pixels of a map that was resized; the same ones if it was not."""
    return None if camera is None else resize_camera(camera, _size(before), _size(after))


def _moved(camera: Tensor | None, top: int, left: int) -> Tensor | None:
    """Return cameras in pixels of a cut of a map."""
    return None if camera is None else crop_camera(camera, top, left)


def seen_at(prepared: Prepared, size: tuple[int, int] | None) -> Prepared:
    """Return a batch with its images resized for a model; ground truth stays. None = as they are."""
    width = prepared.batch.image.shape[-1]
    if size is None or size == tuple(prepared.batch.image.shape[-2:]):
        return prepared
    batch = replace(prepared.batch, image=resize_image(prepared.batch.image, size))
    return replace(prepared, batch=batch, focal=None if prepared.focal is None else prepared.focal * (size[1] / width))


def _size(map_BCHW: Tensor) -> Size:
    return int(map_BCHW.shape[-2]), int(map_BCHW.shape[-1])


def _stack(group: list[tuple[int, Sample]], device: torch.device) -> tuple[list[int], Batch]:
    samples = [sample for _, sample in group]
    depths = [sample.depth for sample in samples if sample.depth is not None]
    valids = [
        _above_zero(sample.depth) if sample.valid is None else sample.valid
        for sample in samples
        if sample.depth is not None
    ]
    cameras = [sample.intrinsics for sample in samples if sample.intrinsics is not None]
    batch = Batch(
        ids=tuple(sample.id for sample in samples),
        image=_together([sample.image for sample in samples]),
        # One group holds samples with depth (with a camera) or samples without, never both: that is in its key.
        intrinsics=_together(cameras) if cameras else None,
        depth=_together(depths) if depths else None,
        valid=_together(valids) if depths else None,
    )
    return [index for index, _ in group], _complete(batch if batch.image.device == device else batch.to(device))


def _above_zero(depth: Tensor) -> Tensor:
    """Return where depth is above zero; numpy compares several times faster than torch does on a CPU."""
    return torch.from_numpy(depth.numpy() > 0) if depth.device.type == "cpu" else depth > 0


def _together(maps: list[Tensor]) -> Tensor:
    """Return maps as one batch; one alone needs no copy."""
    return maps[0][None] if len(maps) == 1 else torch.stack(maps)


def _complete(batch: Batch) -> Batch:
    """Return a batch that always has depth, valid and labelled."""
    count, _, height, width = batch.image.shape
    if batch.depth is None:
        depth = batch.image.new_zeros(count, 1, height, width)
        return replace(batch, depth=depth, valid=depth > 0, labelled=depth.new_zeros(count, dtype=torch.bool))
    labelled = batch.depth.new_ones(count, dtype=torch.bool) if batch.labelled is None else batch.labelled
    valid = _above_zero(batch.depth) if batch.valid is None else batch.valid
    if batch.labelled is not None:
        valid = valid & labelled.view(-1, 1, 1, 1)
    return replace(batch, valid=valid, labelled=labelled)
