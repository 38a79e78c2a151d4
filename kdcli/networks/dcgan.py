"""The generator of data-free adversarial distillation (Fang et al. 2019), a DCGAN without convolutions at the start.

Layers and their names are those of the authors' ``GeneratorB``, so that a state dict of theirs fits: a linear layer to
8c channels at 1/16 of the size, four transposed 4 x 4 convolutions of stride 2 (8c -> 4c -> 2c -> c -> c) with batch
norm and LeakyReLU 0.2, a 3 x 3 convolution to RGB, tanh.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

STRIDE = 16


class DcganGenerator(nn.Module):
    """Images of one size out of random vectors.

    The size is rounded up to multiples of 16 inside, and what stands over at the right and at the bottom is cut off.
    """

    def __init__(self, size: tuple[int, int], *, latent: int = 256, width: int = 64, slope: float = 0.2) -> None:
        """Build it. size: height and width; latent: length of a vector; width: channels c at full resolution."""
        super().__init__()
        self.size, self.latent, self.width = size, latent, width
        self.grid = (-(-size[0] // STRIDE), -(-size[1] // STRIDE))
        self.project = nn.Sequential(nn.Flatten(), nn.Linear(latent, 8 * width * self.grid[0] * self.grid[1]))
        channels = (8 * width, 4 * width, 2 * width, width, width)
        layers: list[nn.Module] = [nn.BatchNorm2d(channels[0])]
        for before, after in pairwise(channels):
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(slope),
            ]
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Return images B x 3 x H x W in -1..1 of vectors B x latent."""
        start = self.project(z).view(-1, 8 * self.width, *self.grid)
        image: Tensor = self.main(start)
        return image[..., : self.size[0], : self.size[1]]

    @classmethod
    def made_on(
        cls, device: torch.device, generator: torch.Generator, size: tuple[int, int], *, latent: int, width: int
    ) -> DcganGenerator:
        """Make one on a device, with torch's usual initialisation drawn from ``generator`` alone.

        No global random number is drawn and nothing is copied from the host.
        """
        with torch.device("meta"):
            made = cls(size, latent=latent, width=width)
        made.to_empty(device=device).to(memory_format=torch.channels_last)
        for layer in made.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()
            elif isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                # What reset_parameters() of these layers does: uniform within 1 / sqrt(fan in), weight and bias alike.
                bound = (layer.weight.shape[1] * layer.weight[0, 0].numel()) ** -0.5
                with torch.no_grad():
                    for values in (layer.weight, layer.bias):
                        if values is not None:
                            values.uniform_(-bound, bound, generator=generator)
        return made
