"""Object-wise mixing: cut objects out of one image and paste them into another (data-free depth distillation)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.mixers.compose import blend, check_share, donors, merge_instances, uniform
from kdcli.protocols import API_VERSION

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


class ObjectMixer:
    """Paste k ~ U{1..objects} random objects of a partner image: mixed = m * b + (1 - m) * a.

    The partner is another image of the batch. An object is one id of the partner's instance map with an area between
    ``min_area`` and ``max_area`` of the image; where there is none the image stays as it is. ``placement=same`` pastes
    at the object's own place, ``placement=jitter`` moves all objects of an image together by up to ``jitter`` of its
    height and width (what leaves the image is lost). ``feather`` fades the paste in over that share of the shorter
    side, inside the mask.

    A pasted object has no true depth in its new scene, so depth, valid and labelled are dropped; the teacher labels
    the mixed image. With ``occlusion`` an object is pasted only where it is nearer than what is there, the depth is
    the nearer one, and the labels stay; it needs depth in the batch and one camera for all images.

    Ids at or above ``max_ids`` share slots with lower ones: two objects may then be cut together, never lost.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(
        self,
        *,
        probability: float = 1.0,
        objects: int = 4,
        min_area: float = 0.005,
        max_area: float = 0.5,
        placement: Literal["same", "jitter"] = "same",
        jitter: float = 0.25,
        feather: float = 0.0,
        occlusion: bool = False,
        max_ids: int = 1024,
    ) -> None:
        check_share("object", probability=probability, min_area=min_area, max_area=max_area)
        check_share("object", jitter=jitter, feather=feather)
        if min_area > max_area:
            raise ConfigError(f"object: min_area={min_area} is above max_area={max_area}")
        if objects < 1 or max_ids < 2:
            raise ConfigError(f"object: objects={objects} must be at least 1, max_ids={max_ids} at least 2")
        if occlusion and feather:
            raise ConfigError(f"object: feather={feather} has no true depth at its edge; drop it or occlusion")
        self.probability, self.objects, self.min_area, self.max_area = probability, objects, min_area, max_area
        self.placement, self.jitter, self.feather = placement, jitter, feather
        self.occlusion, self.max_ids = occlusion, max_ids

    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch with objects pasted in.

        Raises:
            ConfigError: the batch has no instance maps, or no depth where ``occlusion`` asks for it.
        """
        if batch.instances is None:
            raise ConfigError(
                "mixer 'object' needs instance maps and the source has none; use a source with objects such as "
                "sim:blocks, or --mixer cutmix"
            )
        if self.occlusion and batch.depth is None:
            raise ConfigError("mixer 'object': occlusion=true needs depth and the source has none; leave it out")
        donor = donors(batch, ctx)
        assert donor.instances is not None
        mask = self.choose(donor.instances, ctx)
        if self.placement == "jitter":
            donor, mask = self._move(donor, mask, ctx)
        assert donor.instances is not None
        if self.occlusion:
            return self._occlude(batch, donor, mask)
        opacity = self._opacity(mask)
        return replace(
            batch,
            image=blend(batch.image, donor.image, opacity),
            instances=merge_instances(batch.instances, donor.instances, mask),
            depth=None, valid=None, labelled=None,
        )

    def choose(self, instances: Tensor, ctx: MixContext) -> Tensor:
        """Return the mask, B x H x W bool, of the objects to cut out of instance maps B x H x W."""
        count, device = len(instances), instances.device
        slots = instances.flatten(1)
        slots = torch.where(slots > 0, (slots - 1) % (self.max_ids - 1) + 1, 0)
        areas = torch.zeros(count, self.max_ids, device=device)
        areas = areas.scatter_add_(1, slots, torch.ones_like(slots, dtype=torch.float32))
        share = areas / max(slots.shape[1], 1)
        eligible = (share >= self.min_area) & (share <= self.max_area) & (areas > 0)
        eligible &= torch.arange(self.max_ids, device=device) > 0
        priority = torch.where(eligible, uniform((count, self.max_ids), ctx, device), -1.0)
        first = priority.topk(min(self.objects, self.max_ids), dim=1)
        wanted = (uniform((count, 1), ctx, device) * self.objects).floor() + 1
        wanted = torch.where(uniform((count, 1), ctx, device) < self.probability, wanted, 0)
        take = (first.values >= 0) & (torch.arange(first.values.shape[1], device=device) < wanted)
        table = torch.zeros(count, self.max_ids, dtype=torch.bool, device=device).scatter_(1, first.indices, take)
        return table.gather(1, slots).view_as(instances)

    def _opacity(self, mask: Tensor) -> Tensor:
        opacity = mask[:, None].float()
        radius = round(self.feather * min(mask.shape[-2:]))
        if radius:
            size = 2 * radius + 1
            near = functional.avg_pool2d(functional.pad(opacity, (radius,) * 4, mode="replicate"), size, stride=1)
            # On a straight edge half of the window is inside: start there, and be opaque one radius further in.
            opacity = opacity * (2 * near - 1).clamp(0, 1)
        return opacity

    def _move(self, donor: Batch, mask: Tensor, ctx: MixContext) -> tuple[Batch, Tensor]:
        count, height, width = mask.shape
        device = mask.device
        steps = (uniform((2, count, 1), ctx, device) * 2 - 1) * self.jitter
        rows = torch.arange(height, device=device) - (steps[0] * height).round().long()
        columns = torch.arange(width, device=device) - (steps[1] * width).round().long()
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        flat = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]

        def moved(tensor: Tensor) -> Tensor:
            maps = tensor.reshape(count, -1, height * width)
            return maps.gather(2, flat.view(count, 1, -1).expand(-1, maps.shape[1], -1)).view(tensor.shape)

        donor = replace(
            donor,
            image=moved(donor.image),
            depth=None if donor.depth is None else moved(donor.depth),
            valid=None if donor.valid is None else moved(donor.valid),
            instances=None if donor.instances is None else moved(donor.instances),
        )
        return donor, moved(mask) & inside

    def _occlude(self, batch: Batch, donor: Batch, mask: Tensor) -> Batch:
        assert batch.depth is not None and donor.depth is not None
        assert batch.instances is not None and donor.instances is not None
        nearer = mask[:, None] & (donor.depth < batch.depth)
        for valid in (batch.valid, donor.valid):
            nearer = nearer if valid is None else nearer & valid
        return replace(
            batch,
            image=torch.where(nearer, donor.image, batch.image),
            depth=torch.where(nearer, donor.depth, batch.depth),
            instances=merge_instances(batch.instances, donor.instances, nearer[:, 0]),
        )
