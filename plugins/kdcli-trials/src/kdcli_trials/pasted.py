"""Objects of another world are pasted in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch

from kdcli.errors import ConfigError, SpecError
from kdcli.mixers.compose import merge_instances, uniform
from kdcli.protocols import API_VERSION
from kdcli.sources import load_source
from kdcli.training.batches.render_cache import RenderCache
from kdcli.types import Needs

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


class Pasted:
    """One to ``objects`` objects of a random image of ``source`` at their own places, in a share of the images.

    source: one that is simulated and has a count, in brackets: ``source=[sim:interiors,count=500]``. Depth is dropped:
    the teacher is asked again.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(
        self, *, source: str, probability: float = 0.5, objects: int = 4, min_area: float = 0.005, max_area: float = 0.5
    ) -> None:
        """Open the source.

        Raises:
            SpecError: it has no objects or no end.
        """
        self.source = load_source(source.removeprefix("[").removesuffix("]"))
        if not getattr(self.source, "has_instances", False) or getattr(self.source, "count", None) is None:
            raise SpecError(f"pasted: source={source} must be simulated, with objects and a count; for example "
                            "source=[sim:interiors,count=500]")
        self.probability, self.objects, self.min_area, self.max_area = probability, objects, min_area, max_area
        self.needs, self._rendered = Needs(instances=True), RenderCache()

    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with objects pasted in.

        Raises:
            ConfigError: the batch has no instance maps.
        """
        if batch.instances is None:
            raise ConfigError("mixer 'pasted' needs instance maps and the source has none; take one such as sim:blocks")
        device, (height, width) = batch.image.device, batch.image.shape[-2:]
        chosen = torch.randint(len(self.source), (len(batch),), generator=ctx.generator, device=device)
        donor = self._rendered.batch(self.source, chosen.tolist(), (height, width), device)
        assert donor.instances is not None
        ids = int(donor.instances.max()) + 1
        areas = torch.nn.functional.one_hot(donor.instances, ids).flatten(1, 2).sum(1)[:, 1:] / (height * width)
        fits = (areas >= self.min_area) & (areas <= self.max_area)
        order = torch.where(fits, uniform(tuple(areas.shape), ctx, device), -1.0)
        wanted = (uniform((len(batch), 1), ctx, device) * self.objects).floor() + 1
        rank = order.argsort(1, descending=True).argsort(1)
        taken = fits & (rank < wanted) & (uniform((len(batch), 1), ctx, device) < self.probability)
        taken = torch.cat((torch.zeros_like(taken[:, :1]), taken), dim=1)
        mask = taken.gather(1, donor.instances.flatten(1)).view_as(donor.instances)
        return replace(
            batch, image=torch.where(mask[:, None], donor.image, batch.image),
            instances=merge_instances(batch.instances, donor.instances, mask), depth=None, valid=None, labelled=None,
            taught=None,
        )
