"""What a student says beside what was measured: some pixels of each image, which is all that a fit needs.

Images stream through the student once; of each only a fixed number of pixels is kept, so that memory does not grow with
their size, and hardly with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import DataError
from kdcli.evals.batches import Prepared, batches, prepare
from kdcli.evals.predict import raw_prediction
from kdcli.evals.protocol import Protocol
from kdcli.evals.sizes import Seen, rendered_at, views
from kdcli.networks.read_out import read_out_of
from kdcli.networks.shown_size import Asked
from kdcli.types import POSITIVE_DEPTH

MOST_PIXELS = 1 << 20
"""Pixels that are kept in all; an image has at least ``FEWEST_EACH`` of them and at most ``MOST_EACH``."""
MOST_EACH, FEWEST_EACH = 2048, 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Pixels of images in their order, on the CPU.

    said: P numbers of the student. metres: P that were measured (divided by focal length / that which the student is
    meant for, where it names one: the student's own numbers are multiplied by it when all is done). image: P, the
    image of each, counted from 0. ids: of the images. left_out: how many had no pixel that counts. sizes: at which the
    student saw images. notes: what there is to say of that; ``{}`` stands for the student.
    """

    said: Tensor
    metres: Tensor
    image: Tensor
    ids: tuple[str, ...]
    left_out: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, chosen: Tensor) -> Samples:
        """Return the pixels of some images, N truth values; images keep their numbers."""
        of = chosen[self.image]
        return replace(self, said=self.said[of], metres=self.metres[of], image=self.image[of])

    def weights(self) -> Tensor:
        """Return P weights that make every image count alike; they sum to one."""
        count = torch.bincount(self.image, minlength=len(self)).double()
        return (1 / count[self.image]) / (count > 0).sum()

    def per_image(self, values: Tensor) -> Tensor:
        """Return the mean of P values over the pixels of each image, N in float64; NaN for one without any."""
        total = torch.zeros(len(self), dtype=torch.float64).index_add_(0, self.image, values.double())
        return total / torch.bincount(self.image, minlength=len(self))


@torch.no_grad()
def gather(
    model: nn.Module,
    source: Any,
    order: Sequence[int],
    rules: Protocol,
    *,
    device: torch.device,
    size: Asked | None,
    batch_size: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Show images to a student, read out as its authors do, and keep some pixels of each.

    order: positions in the source. rules: which pixels count. size: as of ``evaluate``. Which pixels are kept is a
    function of seed and position alone.

    Raises:
        DataError: no image has a pixel that counts.
    """
    each = min(max(MOST_PIXELS // max(len(order), 1), FEWEST_EACH), MOST_EACH)
    own, found, done, seen = rules.for_model(read_out_of(model)), {}, 0, Seen()
    student = {"": model}
    for indices, batch in batches(
        source, order, batch_size=batch_size, size=rendered_at(student, size), device=device
    ):
        prepared = prepare(batch, rules)
        shown = next(views(student, prepared, size))
        seen.add(prepared.batch.image, shown.batch.image)
        said, metres, counted = _look(model, shown, own)
        for row, index in enumerate(indices):
            at = _some(counted[row].flatten(), each, seed, index)
            pixels = said[row].flatten()[at].float().cpu(), metres[row].flatten()[at].float().cpu()
            found[index] = batch.ids[row], *pixels
        done += len(indices)
        if progress is not None:
            progress(done, len(order))
    kept = [found[index] for index in sorted(found) if len(found[index][1])]
    if not kept:
        name = getattr(source, "name", type(source).__name__)
        raise DataError(f"none of the {len(order)} images of source '{name}' has measured depth that counts")
    return Samples(
        said=torch.cat([one for _, one, _ in kept]), metres=torch.cat([one for _, _, one in kept]),
        image=torch.repeat_interleave(torch.tensor([len(one) for _, one, _ in kept])),
        ids=tuple(name for name, _, _ in kept), left_out=len(order) - len(kept), sizes=seen.sizes,
        notes=seen.notes(model, size),
    )


def _look(model: nn.Module, prepared: Prepared, rules: Protocol) -> tuple[Tensor, Tensor, Tensor]:
    """Return the student's numbers, metres as it should have said them, and what counts, B x 1 x h x w each."""
    read, focal = read_out_of(model), prepared.focal
    raw = raw_prediction(model, replace(prepared, focal=None), rules, "student")
    metres, counted = prepared.batch.depth, prepared.batch.valid
    assert metres is not None and counted is not None
    if read.focal is not None and focal is not None:
        metres = metres / (focal.to(metres) / read.focal).view(-1, 1, 1, 1)
    counted = counted & torch.isfinite(raw.values)
    if raw.opinion is not None:
        counted = counted & raw.opinion
    if raw.kind in POSITIVE_DEPTH:
        counted = counted & (raw.values > 0)
    return raw.values, metres, counted


def _some(counted: Tensor, most: int, seed: int, index: int) -> Tensor:
    """Return the places of at most so many pixels that count, in order."""
    places = torch.nonzero(counted).flatten()
    if len(places) <= most:
        return places
    generator = torch.Generator().manual_seed((seed * 1_000_003 + index) % 2**63)
    return places[torch.randperm(len(places), generator=generator)[:most].sort().values.to(places.device)]
