"""Object-wise mixing: cut objects out of one image and paste them into another (data-free depth distillation)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.mixers.compose import Partner, blend, check_share, partners, paste, uniform
from kdcli.mixers.placement import Placed, Placement, place, stay
from kdcli.protocols import API_VERSION
from kdcli.types import Needs

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


class ObjectMixer:
    """Paste k ~ U{1..objects} random objects of a partner image: mixed = m * b + (1 - m) * a.

    An object is one id of the partner's instance map with an area between ``min_area`` and ``max_area`` of the image;
    where there is none the image stays as it is. Batches know no classes: to cut objects of some kinds only, choose
    them in the source (its ``types`` where it has that key), whose instance map then names no others.

    ``partner=cycle``: one random cycle through the batch, so every image gives once and nobody meets itself.
    ``random``: one of the other images, drawn for each, so some give several times. ``self``: the image's own objects
    once more, which needs a placement.

    ``placement=same`` pastes at the object's own place, ``jitter`` moves all objects of an image together by up to
    ``jitter`` of its height and width, ``each`` moves every object on its own (what leaves the image is lost, later
    objects cover earlier ones). ``min_scale`` and ``max_scale`` zoom by a factor between them, uniform in its
    logarithm; ``flip`` is the probability of a mirrored paste. Both turn about the middle of the object with
    ``placement=each``, and otherwise about the middle of all objects of the image together, which keep their
    arrangement. Zoomed images are read bilinearly (from halved copies below a half), ids by nearest neighbour.
    ``feather`` fades the paste in over that share of the shorter side, inside the mask.

    A pasted object has no true depth in its new scene, so depth, valid and labelled are dropped; the teacher labels
    the mixed image. With ``occlusion`` an object is pasted only where it is nearer than what is there, the depth is
    the nearer one, and the labels stay; it needs depth in the batch and one camera for all images. A zoomed object
    keeps its size in metres: its depth is divided by the zoom.

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
        partner: Partner = "cycle",
        placement: Literal["same", "jitter", "each"] = "same",
        jitter: float = 0.25,
        min_scale: float = 1.0,
        max_scale: float = 1.0,
        flip: float = 0.0,
        feather: float = 0.0,
        occlusion: bool = False,
        max_ids: int = 1024,
    ) -> None:
        check_share("object", probability=probability, min_area=min_area, max_area=max_area)
        check_share("object", jitter=jitter, feather=feather, flip=flip)
        if min_area > max_area:
            raise ConfigError(f"object: min_area={min_area} is above max_area={max_area}")
        if not 1 / 16 <= min_scale <= max_scale <= 16:
            raise ConfigError(
                f"object: min_scale={min_scale} and max_scale={max_scale} must ascend within 0.0625..16; 1 = as it is"
            )
        if objects < 1 or max_ids < 2:
            raise ConfigError(f"object: objects={objects} must be at least 1, max_ids={max_ids} at least 2")
        if occlusion and feather:
            raise ConfigError(f"object: feather={feather} has no true depth at its edge; drop it or occlusion")
        self.probability, self.objects, self.min_area, self.max_area = probability, objects, min_area, max_area
        self.partner, self.feather, self.occlusion, self.max_ids = partner, feather, occlusion, max_ids
        self.needs = Needs(instances=True, ground_truth=occlusion)
        self.each = placement == "each"
        self.placement = Placement(
            jitter=0.0 if placement == "same" else jitter, min_scale=min_scale, max_scale=max_scale, flip=flip
        )
        if partner == "self" and not self.placement.moves:
            raise ConfigError("object: partner=self at its own place changes nothing; add placement=each or flip=0.5")

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
        device = batch.image.device
        order = partners(len(batch), ctx, device, self.partner)
        # Only what is read below is copied from the partners; all of it is ours to write into.
        needed = replace(
            batch, depth=batch.depth if self.occlusion else None, valid=batch.valid if self.occlusion else None,
            intrinsics=None, labelled=None, taught=None,
        )
        donor = needed.map_tensors(lambda tensor: tensor.index_select(0, order))
        assert donor.instances is not None
        low, top = batch.instances.flatten(1).aminmax(dim=1)
        slots = self._slots(donor.instances, low, top)
        placed = self._placed(batch, donor, slots, *self._draw(slots, ctx), ctx)
        mask = placed.mask
        # Ids raised above the receiver's largest stay distinct; the mask holds pixels of objects only.
        instances = paste(mask, placed.instances.add_(top.view(-1, 1, 1)), batch.instances)
        if placed.depth is not None:
            return replace(
                batch, image=paste(mask[:, None], placed.image, batch.image), depth=placed.depth, instances=instances,
                taught=None,
            )
        radius = round(self.feather * min(mask.shape[-2:]))
        image = (
            blend(batch.image, placed.image, _opacity(mask, radius)) if radius
            else paste(mask[:, None], placed.image, batch.image)
        )
        return replace(batch, image=image, instances=instances, depth=None, valid=None, labelled=None, taught=None)

    def _slots(self, instances: Tensor, low: Tensor, top: Tensor) -> Tensor:
        """Return ids B x H x W as slots of the tables, B x HW in 0..max_ids-1."""
        # On a CPU looking at two numbers is free and mostly saves the division, the dearest part of mixing. On a GPU
        # it would wait for the device, and dividing costs nothing.
        if instances.device.type == "cpu" and int(low.min()) >= 0 and int(top.max()) < self.max_ids:
            return instances.flatten(1)
        slots = (instances.flatten(1) - 1).remainder_(self.max_ids - 1).add_(1)
        return slots.masked_fill_(instances.flatten(1) <= 0, 0)

    def _draw(self, slots: Tensor, ctx: MixContext) -> tuple[Tensor, Tensor]:
        """Return the slots of the objects to cut out, B x K, and whether each is."""
        count, device = len(slots), slots.device
        areas = torch.zeros(count, self.max_ids, device=device)
        areas = areas.scatter_add_(1, slots, torch.ones(1, 1, device=device).expand_as(slots))
        share = areas / max(slots.shape[1], 1)
        eligible = (share >= self.min_area) & (share <= self.max_area) & (areas > 0)
        eligible &= torch.arange(self.max_ids, device=device) > 0
        priority = torch.where(eligible, uniform((count, self.max_ids), ctx, device), -1.0)
        first = priority.topk(min(self.objects, self.max_ids), dim=1)
        wanted = (uniform((count, 1), ctx, device) * self.objects).floor() + 1
        wanted = torch.where(uniform((count, 1), ctx, device) < self.probability, wanted, 0)
        take = (first.values >= 0) & (torch.arange(first.values.shape[1], device=device) < wanted)
        return first.indices, take

    def _placed(
        self, batch: Batch, donor: Batch, slots: Tensor, chosen: Tensor, take: Tensor, ctx: MixContext
    ) -> Placed:
        """Return the donors with the chosen objects where they are pasted."""
        count, height, width = len(batch), *batch.image.shape[-2:]
        device = slots.device
        receiver = batch if self.occlusion else None
        if self.each:
            masks = [
                ((slots == chosen[:, k, None]) & take[:, k, None]).view(count, height, width)
                for k in range(chosen.shape[1])
            ]
        else:
            table = torch.zeros(count, self.max_ids, dtype=torch.bool, device=device).scatter_(1, chosen, take)
            masks = [table.gather(1, slots).view(count, height, width)]
            if not self.placement.moves:
                return stay(donor, masks[0], receiver)
        motion = self.placement.draw(count, len(masks), (height, width), ctx, device)
        return place(donor, masks, motion, levels=self.placement.levels, receiver=receiver)


def _opacity(mask: Tensor, radius: int) -> Tensor:
    """Return B x 1 x H x W: 0 outside the mask, rising to 1 over ``radius`` pixels inside."""
    opacity = mask[:, None].float()
    size = 2 * radius + 1
    near = functional.avg_pool2d(functional.pad(opacity, (radius,) * 4, mode="replicate"), size, stride=1)
    # On a straight edge half of the window is inside: start there, and be opaque one radius further in.
    return opacity * (2 * near - 1).clamp(0, 1)
