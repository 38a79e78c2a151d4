"""Data-free adversarial distillation (Fang et al. 2019): images of a generator that looks for disagreement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.networks.dcgan import DcganGenerator
from kdcli.networks.normalise import IMAGENET_MEAN, IMAGENET_STD
from kdcli.networks.read_out import own_map, read_out_of
from kdcli.protocols import API_VERSION
from kdcli.types import Needs

if TYPE_CHECKING:
    from kdcli.protocols import MixContext, StepContext
    from kdcli.types import Batch


class Dfad(nn.Module):
    """Replace every image of a batch by one of a generator, which is trained against the student.

    After each ``every`` batches the generator makes ``steps`` updates (Adam, ``lr``) that raise the mean absolute
    difference L between the student's and the teacher's depth on new images: its loss is -ln(L + 1). The images of the
    source give count and size alone; their labels, objects and cameras are dropped.

    ``colours`` says how the tanh of the generator becomes an image in 0..1. ``unit``: -1 is black and 1 is full
    intensity. ``normalised``: -1..1 is what a network sees after ImageNet's normalisation, as in the authors' code, so
    that colours lie within one standard deviation of the mean.

    The generator normalises by the statistics of its batch; ``norm=running`` takes its running statistics instead for
    the images that the student learns from. ``latent`` is the length of its random vectors, ``width`` the number of
    channels at full resolution.
    """

    api_version: ClassVar[int] = API_VERSION
    needs: ClassVar[Needs] = Needs(teachers=(1, None), input_gradient="both")
    network: DcganGenerator | None

    def __init__(
        self,
        *,
        lr: float = 1e-3,
        every: int = 5,
        steps: int = 1,
        colours: Literal["normalised", "unit"] = "unit",
        norm: Literal["batch", "running"] = "batch",
        latent: int = 256,
        width: int = 64,
    ) -> None:
        super().__init__()
        if not 0 < lr < float("inf"):
            raise ConfigError(f"dfad: lr={lr} must be a number above 0")
        for name, value in (("every", every), ("steps", steps), ("latent", latent), ("width", width)):
            if value < 1:
                raise ConfigError(f"dfad: {name}={value} must be at least 1")
        self.inner_lr, self.inner_every, self.inner_steps = lr, every, steps
        self.colours, self.norm, self.latent, self.width = colours, norm, latent, width
        # As every network is that is built under a seed; the layers wait for the size of the images.
        self._seed = int(torch.randint(2**62, ()))
        self.register_module("network", None)

    @torch.no_grad()
    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return a batch of generated images of the same size.

        Raises:
            ConfigError: an earlier batch had another size.
        """
        network = self._for(batch.image)
        network.train(self.norm == "batch")
        image = self._draw(network, batch, ctx)
        network.train()
        ids = tuple(f"dfad-{ctx.step}-{i}" for i in range(len(batch)))
        return replace(
            batch, ids=ids, image=image, depth=None, valid=None, instances=None, intrinsics=None, labelled=None,
            taught=None,
        )

    def inner_parameters(self) -> Iterator[nn.Parameter]:
        """Return the generator's parameters: none before the first batch, which tells the size."""
        return self.parameters()

    def inner_loss(self, ctx: StepContext) -> Tensor:
        """Return -ln(L + 1) on new images, L the mean over the teachers; its graph leads to the generator."""
        image = self._draw(self._for(ctx.batch.image), ctx.batch, ctx)
        depth = ctx.student.call(image, statistics=True).depth.float()
        gaps = []
        for view in ctx.teachers.values():
            said = view.call(image)
            gaps.append(absolute_difference(depth, own_map(said, read_out_of(view.model)), said.valid))
        return adversarial(torch.stack(gaps).mean())

    def _for(self, image: Tensor) -> DcganGenerator:
        """Return the generator for images of this size, made for the first ones."""
        size = (int(image.shape[-2]), int(image.shape[-1]))
        if self.network is None:
            drawn = torch.Generator(device=image.device) if image.device.type != "meta" else torch.Generator()
            self.network = DcganGenerator.made_on(
                image.device, drawn.manual_seed(self._seed), size, latent=self.latent, width=self.width
            )
        if self.network.size != size:
            made = "x".join(map(str, self.network.size))
            raise ConfigError(f"dfad: its generator makes images of {made}, not of {size[0]}x{size[1]}; use one size")
        return self.network

    def _draw(self, network: DcganGenerator, batch: Batch, ctx: MixContext) -> Tensor:
        like = batch.image
        z = torch.randn(len(batch), self.latent, generator=ctx.generator, device=like.device)
        made: Tensor = network(z)
        if self.colours == "unit":
            made = (made + 1) / 2
        else:
            rows = [f * m + s for f, m, s in zip(IMAGENET_STD, made.unbind(1), IMAGENET_MEAN, strict=True)]
            made = torch.stack(rows, dim=1)
        return made.to(like.dtype)


def absolute_difference(depth: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the mean absolute difference at the resolution of ``depth``, over what is valid of the target.

    The graph leads to both maps, B x 1 x h x w and B x 1 x H x W.
    """
    size = tuple(depth.shape[-2:])
    if valid is not None:
        target = functional.interpolate(target, size, mode="nearest-exact")
        counted = functional.interpolate(valid.to(target.dtype), size, mode="nearest-exact") > 0.5
        total = torch.where(counted, (depth - target).abs(), 0.0).sum()
        return total / counted.sum().clamp_min(1)
    if tuple(target.shape[-2:]) != size:
        target = functional.interpolate(target, size, mode="bilinear", align_corners=False, antialias=True)
    return (depth - target).abs().mean()


def adversarial(difference: Tensor) -> Tensor:
    """Return the generator's loss -ln(L + 1): large differences pull less than small ones."""
    return -(difference + 1).log()
