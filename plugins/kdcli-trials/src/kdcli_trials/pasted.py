"""Objects of another world are pasted in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

import kdcli
from kdcli.errors import ConfigError, SpecError
from kdcli.protocols import API_VERSION
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
        self.source = kdcli.build("source", source.removeprefix("[").removesuffix("]"))
        if not getattr(self.source, "has_instances", False) or getattr(self.source, "count", None) is None:
            raise SpecError(f"pasted: source={source} must be simulated, with objects and a count; for example "
                            "source=[sim:interiors,count=500]")
        self.probability, self.objects, self.min_area, self.max_area = probability, objects, min_area, max_area
        self.needs = Needs(instances=True)
        self._rendered: dict[tuple[int, int, int], tuple[Tensor, Tensor]] = {}

    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with objects pasted in.

        Raises:
            ConfigError: the batch has no instance maps.
        """
        if batch.instances is None:
            raise ConfigError("mixer 'pasted' needs instance maps and the source has none; take one such as sim:blocks")
        device, (height, width) = batch.image.device, batch.image.shape[-2:]
        chosen = torch.randint(len(self.source), (len(batch),), generator=ctx.generator, device=device)
        donors = [self._one(index, height, width, device) for index in chosen.tolist()]
        image, instances = (torch.stack(parts) for parts in zip(*donors, strict=True))
        areas = torch.nn.functional.one_hot(instances).flatten(1, 2).sum(1)[:, 1:] / (height * width)
        fits = (areas >= self.min_area) & (areas <= self.max_area)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=ctx.generator, device=device)

        rank = torch.where(fits, uniform(*areas.shape), -1.0).argsort(1, descending=True).argsort(1)
        wanted = (uniform(len(batch), 1) * self.objects).floor() + 1
        taken = fits & (rank < wanted) & (uniform(len(batch), 1) < self.probability)
        taken = torch.cat((torch.zeros_like(taken[:, :1]), taken), dim=1)
        mask = taken.gather(1, instances.flatten(1)).view_as(instances)
        top = batch.instances.flatten(1).amax(1).view(-1, 1, 1)
        return replace(
            batch, image=torch.where(mask[:, None], image, batch.image),
            instances=torch.where(mask, instances + top, batch.instances), depth=None, valid=None, labelled=None,
            taught=None,
        )

    def _one(self, index: int, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return image and ids of one scene, rendered when it is first asked for."""
        key = (index, height, width)
        if key not in self._rendered:
            made: Batch = self.source.batch([index], (height, width), device)
            assert made.instances is not None
            self._rendered[key] = (made.image[0], made.instances[0])
        return self._rendered[key]
