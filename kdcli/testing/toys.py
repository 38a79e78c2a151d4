"""Small stand-ins for the parts that a plugin meets: a depth network with every kind of output, a labelled batch."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.networks.taps import INPUT
from kdcli.testing.draws import cpu_seeded
from kdcli.types import Batch, DepthKind, Prediction, Provenance, Tap

RANGE = (0.5, 8.0)
"""Depths of toy networks and batches, in metres."""

_OWN = {
    "enc1": Tap(module="enc1", stride=2, channels=8),
    "enc2": Tap(module="enc2", stride=4, channels=12),
    "dec1": Tap(module="dec1", stride=2, channels=8),
    "pre_head": Tap(module="dec1", stride=2, channels=8),
}
_TURN = ("enc1", "enc2", "dec1")
"""What declared taps stand for, in turn."""


class ToyDepth(nn.Module):
    """A smooth depth network of a few thousand parameters that fills every field of ``Prediction``.

    Smooth, so that second derivatives exist; with batch norm, so that a stray update of its statistics shows.
    """

    def __init__(self, *, kind: DepthKind = DepthKind.METRIC, stride: int = 2, bins: int = 8, seed: int = 0,
                 taps: Iterable[str] = (), spread: bool = False) -> None:
        """Build it.

        stride: of the output, 1 or 2. taps: further names, ``module:PATH`` and ``input:PATH`` too, which stand for
        inner features in turn: the same place in the list, the same shape. spread: fill ``std`` and ``entropy`` too.
        """
        super().__init__()
        self.spread = spread
        self.depth_kind, self.depth_range, self.stride = kind, RANGE, stride
        self.provenance = Provenance(name="toy", licence="Apache-2.0", training_data="none")
        with cpu_seeded(seed):
            self.enc1 = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Softplus())
            self.enc2 = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.Softplus())
            self.dec1 = nn.Sequential(nn.Conv2d(20, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.Softplus())
            self.head = nn.Conv2d(8, bins, 1)
            self.side = nn.Conv2d(12, 1, 1)
            self.twigs = nn.ModuleList(nn.Conv2d(8, 1, 1) for _ in range(2))
        self.bins: Tensor
        self.register_buffer("bins", torch.linspace(*RANGE, bins))
        self.taps = dict(_OWN)
        self._stubs = nn.ModuleList()
        self._stub_of: dict[str, int] = {}
        self._stubs_after: dict[str, list[int]] = {name: [] for name in _TURN}
        for i, name in enumerate(taps):
            place = _TURN[i % len(_TURN)]
            if name.startswith(("module:", INPUT)):
                self._stand_in(name.partition(":")[2], place)
            else:
                self.taps[name] = _OWN[place]

    def get_submodule(self, target: str) -> nn.Module:
        """Return a submodule; the path of one that another network has leads to what stands for it here."""
        if target in self._stub_of:
            return self._stubs[self._stub_of[target]]
        return super().get_submodule(target)

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth at 1 / stride of the image's size."""
        fine = self._shown("enc1", self.enc1(image * 2 - 1))
        coarse = self._shown("enc2", self.enc2(fine))
        size = fine.shape[-2:]
        joined = torch.cat([fine, functional.interpolate(coarse, size=size)], dim=1)
        joined = self._shown("dec1", self.dec1(joined))
        if self.stride == 1:
            joined = functional.interpolate(joined, size=image.shape[-2:], mode="bilinear", align_corners=False)
        probs = (4 * self.head(joined)).softmax(dim=1)
        centers = self.bins.to(probs.dtype).expand(len(image), -1)
        depth = (probs * centers[:, :, None, None]).sum(dim=1, keepdim=True)
        side = functional.interpolate(self._squash(self.side(coarse)), size=size)
        branches = tuple(self._squash(twig(joined)) for twig in self.twigs)
        std = entropy = None
        if self.spread:
            std = (probs * (centers[:, :, None, None] - depth).square()).sum(dim=1, keepdim=True).sqrt()
            entropy = -(probs * probs.log()).sum(dim=1, keepdim=True) / math.log(probs.shape[1])
        return Prediction(depth=depth, kind=self.depth_kind, probs=probs, centers=centers, aux=(side,),
                          branches=branches, std=std, entropy=entropy)

    def _stand_in(self, path: str, place: str) -> None:
        """Let a module that does nothing stand for one of another network, behind an inner feature."""
        if path and path not in self._stub_of:
            self._stub_of[path] = len(self._stubs)
            self._stubs_after[place].append(len(self._stubs))
            self._stubs.append(nn.Identity())

    def _shown(self, place: str, feature: Tensor) -> Tensor:
        for number in self._stubs_after[place]:
            feature = self._stubs[number](feature)
        return feature

    def _squash(self, logits: Tensor) -> Tensor:
        low, high = RANGE
        return low + (high - low) * logits.sigmoid()


def toy_batch(*, batch: int = 2, size: tuple[int, int] = (32, 48), seed: int = 0, labelled: bool = True,
              device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Batch:
    """Return images of coloured boxes before a wall, with depth, holes, instances and intrinsics.

    Box 1 of each image lies left of box 2. Everything is a function of the seed alone, whatever the device.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    ramp = torch.linspace(0, 1, width).expand(batch, 1, height, width)
    depth = 3.0 + 2.0 * ramp + 0.3 * torch.rand(batch, 1, height, width, generator=generator)
    image = 0.2 * torch.rand(batch, 3, height, width, generator=generator) + 0.4 * ramp
    instances = torch.zeros(batch, height, width, dtype=torch.int64)
    for b in range(batch):
        for number, left in ((1, width // 8), (2, width // 2)):
            rows = slice(height // 4 + b % 2, 3 * height // 4)
            columns = slice(left, left + width // 4)
            instances[b, rows, columns] = number
            depth[b, :, rows, columns] -= 1.0 + 0.2 * b
            image[b, :, rows, columns] = torch.rand(3, 1, 1, generator=generator)
    valid = torch.rand(batch, 1, height, width, generator=generator) > 0.1
    made = Batch(
        ids=tuple(f"toy{i}" for i in range(batch)), image=image.clamp(0, 1).to(dtype),
        depth=depth.to(dtype) if labelled else None, valid=valid if labelled else None,
        instances=instances if labelled else None,
        intrinsics=torch.tensor([[width, width, (width - 1) / 2, (height - 1) / 2]]).expand(batch, 4).clone(),
        labelled=torch.full((batch,), labelled),
    )
    return made.to(device)
