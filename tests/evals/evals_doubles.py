"""Stand-ins for sources and models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from kdcli.types import DepthKind, Prediction, Sample


class ListSource:
    """A source made of samples."""

    def __init__(self, samples: Sequence[Sample], name: str = "list", depth_kind: DepthKind | None = DepthKind.METRIC):
        self.samples, self.name, self.depth_kind = list(samples), name, depth_kind
        self.reads = 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        self.reads += 1
        return self.samples[index]

    def check(self) -> list[object]:
        return []


class Answers(nn.Module):
    """A model that is a function of the image."""

    def __init__(self, function: Callable[[Tensor], Tensor], kind: DepthKind = DepthKind.METRIC) -> None:
        super().__init__()
        self.function, self.kind, self.sizes = function, kind, list[tuple[int, ...]]()

    def forward(self, image: Tensor) -> Prediction:
        self.sizes.append(tuple(image.shape))
        return Prediction(depth=self.function(image), kind=self.kind)


class Oracle(nn.Module):
    """A model that is a function of the ground truth."""

    def __init__(self, function: Callable[[Tensor], Tensor], kind: DepthKind = DepthKind.METRIC) -> None:
        super().__init__()
        self.function, self.kind = function, kind

    def from_batch(self, batch: object) -> Prediction:
        return Prediction(depth=self.function(batch.depth), kind=self.kind)  # type: ignore[attr-defined]


def sample(name: str, size: tuple[int, int] = (12, 16), seed: int = 0, **changes: object) -> Sample:
    """Return a sample with random image and depth between 1 and 9 metres."""
    generator = torch.Generator().manual_seed(seed)
    content: dict[str, object] = {
        "image": torch.rand(3, *size, generator=generator),
        "depth": 1 + 8 * torch.rand(1, *size, generator=generator),
        "valid": torch.ones(1, *size, dtype=torch.bool),
        **changes,
    }
    return Sample(id=name, **content)  # type: ignore[arg-type]
