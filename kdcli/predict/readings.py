"""What a model without a distribution over depth says at single pixels, beside its teacher: numbers, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.networks.read_out import own_map, read_out_of, resize_map
from kdcli.networks.shown_size import Asked
from kdcli.predict.beliefs import inside, shown
from kdcli.predict.pixels import Pixel, choose_by_depth
from kdcli.types import DepthKind, Prediction


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """A picture, 3 x H x W, with what a model says of it.

    depth: H x W in the model's own numbers, which ``kind`` names; teacher_depth: the same of its teacher, fitted to
    them by scale and shift unless both are metres. truth: H x W metres, not-a-number where unknown.
    """

    image: Tensor
    seen: tuple[int, int]
    depth: Tensor
    kind: DepthKind
    pixels: tuple[Pixel, ...]
    teacher_depth: Tensor | None = None
    fitted: bool = False
    """Whether the teacher's numbers were fitted to the model's."""
    truth: Tensor | None = None

    def at(self, values: Tensor | None, pixel: Pixel) -> float | None:
        """Return the value of a map at a pixel; None where there is none."""
        value = None if values is None else float(values[pixel.y, pixel.x])
        return value if value is not None and value == value else None

    def document(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        return {
            "size": list(self.depth.shape), "seen": list(self.seen), "bins": None, "depth_kind": str(self.kind),
            "teacher_fitted": self.fitted,
            "pixels": [
                {"x": one.x, "y": one.y, "chosen": one.why, "depth": self.at(self.depth, one),
                 "teacher": self.at(self.teacher_depth, one), "truth": self.at(self.truth, one)}
                for one in self.pixels
            ],
        }  # fmt: skip


@torch.inference_mode()
def read(
    model: nn.Module, image: Tensor, *, pixels: Sequence[tuple[int, int]] = (), teacher: nn.Module | None = None,
    truth: Tensor | None = None, size: Asked | None = "own", device: torch.device | str = "cpu",
) -> Readings:  # fmt: skip
    """Return what a model says of a picture, 3 x H x W in 0..1; arguments as of ``kdcli.predict.beliefs.examine``.

    A teacher whose numbers are of another kind than the model's is left out.

    Raises:
        ConfigError: a pixel is outside.
    """
    own = (int(image.shape[-2]), int(image.shape[-1]))
    whole = image[None].to(device)
    picture = shown(model, whole, size)
    depth, kind = _map(model, picture, own)
    taught, fitted = None, False
    if teacher is not None and DepthKind(str(teacher.depth_kind)) is kind:
        taught, _ = _map(teacher, shown(teacher, whole, size), own)
        fitted = kind is not DepthKind.METRIC
        taught = _fitted(taught, depth) if fitted else taught
    return Readings(
        image=image.cpu(), seen=(int(picture.shape[-2]), int(picture.shape[-1])), depth=depth, kind=kind,
        pixels=inside(pixels, own) if pixels else choose_by_depth(depth, taught), teacher_depth=taught, fitted=fitted,
        truth=truth if kind is DepthKind.METRIC else None,
    )  # fmt: skip


def _map(model: nn.Module, picture: Tensor, size: tuple[int, int]) -> tuple[Tensor, DepthKind]:
    read_out = read_out_of(model)
    said: Prediction = model(picture)
    return resize_map(own_map(said, read_out), size, read_out.resize)[0, 0].float().cpu(), said.kind


def _fitted(values: Tensor, to: Tensor) -> Tensor:
    """Return values times the scale and plus the shift that bring them nearest to others, in least squares."""
    from_mean, to_mean = values.mean(), to.mean()
    spread = (values - from_mean).square().mean()
    scale = ((values - from_mean) * (to - to_mean)).mean() / spread.clamp(min=1e-12)
    return (values - from_mean) * scale + to_mean
