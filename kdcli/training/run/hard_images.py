"""What a stage with ``sampling=hard`` tells: which images its student finds hard; and the order of them, for a twin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kdcli.errors import WeightsError
from kdcli.plugins.blame import blame
from kdcli.training.batches.draws import FACTOR
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.hard_order import HardOrder
from kdcli.training.batches.order import RecordedOrder
from kdcli.training.loop import checkpoint

HARDEST = 10
"""Images that manifest and report name."""
FEWEST = 3
"""Rounds of which the last is the first that is drawn from what the others told."""
_SHAPE = {"order": Any, "images": int, "batch_size": int}


def begins(order: HardOrder, batches: int) -> str:
    """Return in words what the order of a stage of so many batches will be."""
    rounds = batches / order.batches
    told = f"images far from the teacher come up to {FACTOR:g} times as often as the others, in {rounds:.1f} rounds"
    return told if rounds >= FEWEST else f"{told}: too few to tell far ones from others"


def hard_images(order: HardOrder, feed: Feed) -> dict[str, Any]:
    """Return what the manifest says of a finished stage: how often images were shown, and the farthest of them.

    shown: of the image that came least often, of the median one and of the one that came most often. distance: at the
    last look; they are in the order of all looks, compared with the others of that time.
    """
    table = order.distances
    table.read()
    shown, far, last = table.shown, table.relative, table.last
    found = torch.where(far.isnan(), -torch.inf, far).argsort(descending=True, stable=True)[:HARDEST].tolist()
    known = [index for index in found if not bool(far[index].isnan())]
    names = _ids(feed, known)
    return {
        "images": len(shown),
        "shown": [int(value) for value in (shown.min(), shown.median(), shown.max())],
        "hardest": [
            {"id": name, "distance": float(last[index]), "shown": int(shown[index])}
            for name, index in zip(names, known, strict=True)
        ],
    }


def record_order(path: Path, order: HardOrder, batches: int, batch_size: int) -> None:
    """Keep the images of a stage's batches for the twin."""
    images = len(order.distances.shown)
    checkpoint.write(path, {"order": order.recorded(batches), "images": images, "batch_size": batch_size})


def recorded_order(path: Path, images: int, batch_size: int) -> RecordedOrder:
    """Return what was kept.

    Raises:
        WeightsError: it is gone or damaged, or of other images than there are.
    """
    document = checkpoint.read(path, _SHAPE)
    order = document["order"]
    sound = isinstance(order, torch.Tensor) and order.dim() == 1 and not order.is_floating_point()
    if not sound or (document["images"], document["batch_size"]) != (images, batch_size):
        raise WeightsError(
            f"'{path}' is not the order of {images} images in batches of {batch_size}, in which the twin is to see "
            "them; start the run anew"
        )
    return RecordedOrder(order, batch_size)


def _ids(feed: Feed, indices: Sequence[int]) -> list[str]:
    source, pairs = feed.source, getattr(feed.source, "pairs", None)
    if indices and hasattr(source, "batch"):
        return list(feed.rendered(indices).ids)
    with blame(source, "ids of images"):
        return [source[index].id if pairs is None else str(pairs[index].id) for index in indices]
