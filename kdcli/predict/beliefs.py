"""What a model believes at single pixels: its distribution over depth beside its teacher's depth probability map.

The network is shown the picture once, as it is; no mirrored view is averaged in. A pixel's distribution is interpolated
from the network's own grid in the way that its depth map is resized, so its mean is the depth of that map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.losses.dpm import Dpm
from kdcli.networks.read_out import own_map, own_spread, read_out_of, resize_map, resize_spread
from kdcli.networks.shown_size import Asked, shown_size
from kdcli.predict.depth_maps import depth_map, divergence, spread_for
from kdcli.predict.pixels import Pixel, choose
from kdcli.types import DepthKind, Prediction
from kdcli.uncertainty import WHO, entropy, interval, mode, variance

SHARE = 0.9
"""Probability in the interval that is told."""
TOP = 3
"""Bins that are told by number."""


class NoDistribution(ConfigError):
    """The model tells depth alone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Belief:
    """One pixel. probs: K, the model's distribution. target: K, its teacher's depth probability map."""

    pixel: Pixel
    probs: Tensor
    depth: float
    std: float
    entropy: float
    """Nats."""
    interval: tuple[float, float]
    mode: float
    target: Tensor | None = None
    teacher: float | None = None
    truth: float | None = None

    def document(self, centers: Tensor) -> dict[str, Any]:
        """Return the numbers for JSON; lengths in metres."""
        best = self.probs.topk(min(TOP, len(self.probs)))
        told: dict[str, Any] = {
            "x": self.pixel.x, "y": self.pixel.y, "chosen": self.pixel.why, "depth": self.depth, "std": self.std,
            "entropy": self.entropy, "entropy_share": self.entropy / math.log(len(self.probs)),
            "interval": list(self.interval), "interval_share": SHARE, "mode": self.mode,
            "top_bins": [
                {"depth": float(centers[i]), "probability": p}
                for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ],
            "teacher": self.teacher, "divergence": None, "truth": self.truth,
        }  # fmt: skip
        if self.target is not None:
            told["divergence"] = divergence(self.target, self.probs)
        return told


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beliefs:
    """A picture, 3 x H x W, with what a model says of it: depth, std and entropy (share of ln K), H x W, and pixels.

    centers: K, metres. dpm, sigma: how the teacher's depth probability maps were made; None without a teacher.
    teacher_depth, truth: H x W, the latter with not-a-number where it is unknown.
    """

    image: Tensor
    seen: tuple[int, int]
    """Height and width at which the model saw it."""
    depth: Tensor
    std: Tensor
    entropy: Tensor
    centers: Tensor
    pixels: tuple[Belief, ...]
    dpm: Dpm | None = None
    sigma: float | None = None
    teacher_depth: Tensor | None = None
    truth: Tensor | None = None

    def document(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        return {
            "size": list(self.depth.shape), "seen": list(self.seen), "bins": len(self.centers),
            "dpm": self.dpm, "sigma": self.sigma,
            "mean_std": float(self.std.mean()), "mean_entropy_share": float(self.entropy.mean()),
            "pixels": [pixel.document(self.centers) for pixel in self.pixels],
        }  # fmt: skip


@torch.inference_mode()
def examine(
    model: nn.Module,
    image: Tensor,
    *,
    pixels: Sequence[tuple[int, int]] = (),
    teacher: nn.Module | None = None,
    truth: Tensor | None = None,
    sigma: float | None = None,
    dpm: Dpm = "gaussian",
    size: Asked | None = "own",
    device: torch.device | str = "cpu",
    name: str = "the model",
) -> Beliefs:
    """Return what a model with a distribution over depth bins believes of a picture, 3 x H x W in 0..1.

    Args:
        model, teacher: on ``device``; the teacher's depth has to be in metres.
        pixels: (x, y) in the picture; without any, four are chosen by ``kdcli.predict.pixels``.
        truth: H x W metres at the picture's size, not-a-number where unknown.
        sigma: spread of the teacher's map: metres, for bins that are even in the logarithm a share of the depth. None:
            the width of a bin, for ``released`` 0.5.
        dpm: how the teacher's depth becomes a distribution, see ``kdcli.losses.dpm``.
        size: height and width that the networks see; ``own``: what each was made for; ``native`` or None: the
            picture's own.
        name: of the model, for messages.

    Raises:
        NoDistribution: the model has none. ConfigError: a pixel is outside, a teacher without metres, sigma not above
            0.
    """
    own = (int(image.shape[-2]), int(image.shape[-1]))
    whole = image[None].to(device)
    picture = shown(model, whole, size)
    read = read_out_of(model)
    said: Prediction = model(picture)
    if said.probs is None or said.centers is None:
        raise NoDistribution(f"'{name}' gives no distribution over depth to explain; {WHO.split(', and files')[0]}")
    spread = own_spread(said, read)
    assert spread is not None and spread.entropy is not None
    depth = resize_map(own_map(said, read), own, read.resize)
    spread = resize_spread(spread, own, read.resize)
    assert spread.entropy is not None
    maps = {"depth": depth, "std": spread.std, "entropy": spread.entropy}
    depth_HW, std_HW, entropy_HW = (one[0, 0].float().cpu() for one in maps.values())
    chosen = inside(pixels, own) if pixels else choose(depth_HW, entropy_HW)
    centers = said.centers.reshape(-1, said.probs.shape[1])[0].float().cpu()
    probs_PK = _at(said.probs, chosen, own, read.resize).cpu()
    taught = None if teacher is None else _teacher_depth(teacher, shown(teacher, whole, size), own)
    used = None if taught is None else spread_for(centers, sigma, dpm)
    found = []
    for pixel, probs_K in zip(chosen, probs_PK, strict=True):
        column = probs_K.view(1, -1, 1, 1)
        low, high = interval(column, centers, SHARE)
        says = None if taught is None else float(taught[pixel.y, pixel.x])
        known = None if truth is None else float(truth[pixel.y, pixel.x])
        found.append(Belief(
            pixel=pixel, probs=probs_K, depth=float(depth_HW[pixel.y, pixel.x]),
            std=float(variance(column, centers).sqrt()), entropy=float(entropy(column)),
            interval=(float(low), float(high)), mode=float(mode(column, centers)), teacher=says,
            target=None if says is None or used is None else depth_map(says, centers, used, dpm),
            truth=known if known is not None and math.isfinite(known) else None,
        ))
    return Beliefs(
        image=image.cpu(), seen=(int(picture.shape[-2]), int(picture.shape[-1])), depth=depth_HW, std=std_HW,
        entropy=entropy_HW, centers=centers, pixels=tuple(found),
        dpm=None if used is None else dpm, sigma=used, teacher_depth=taught, truth=truth,
    )


def shown(model: nn.Module, image: Tensor, asked: Asked | None) -> Tensor:
    """Return a picture, 1 x 3 x H x W, at the size at which a model is shown it."""
    own = (int(image.shape[-2]), int(image.shape[-1]))
    size = shown_size(model, asked, own)
    if size is None or size == own:
        return image
    return functional.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def _at(maps_1KHW: Tensor, pixels: Sequence[Pixel], size: tuple[int, int], how: str) -> Tensor:
    """Return the values of maps at pixels of the picture, P x K float32, as a resize of the maps would give them."""
    place = torch.tensor([[pixel.x, pixel.y] for pixel in pixels], dtype=torch.float32, device=maps_1KHW.device)
    extent = torch.tensor([size[1], size[0]], dtype=torch.float32, device=maps_1KHW.device)
    corners = how == "bilinear-corners"
    grid = 2 * place / (extent - 1).clamp(min=1) - 1 if corners else (2 * place + 1) / extent - 1
    found = functional.grid_sample(
        maps_1KHW.float(), grid.view(1, 1, -1, 2), mode="nearest" if how == "nearest" else "bilinear",
        padding_mode="border", align_corners=corners,
    )  # fmt: skip
    return found[0, :, 0].T


def _teacher_depth(teacher: nn.Module, picture: Tensor, size: tuple[int, int]) -> Tensor:
    kind = DepthKind(teacher.depth_kind)  # type: ignore[arg-type]
    if kind is not DepthKind.METRIC:
        raise ConfigError(f"the teacher's depth is of kind {kind}, not in metres like the student's bins; give another")
    read = read_out_of(teacher)
    return resize_map(own_map(teacher(picture), read), size, read.resize)[0, 0].float().cpu()


def inside(pixels: Sequence[tuple[int, int]], size: tuple[int, int]) -> tuple[Pixel, ...]:
    """Return places in a picture of a height and width.

    Raises:
        ConfigError: one is outside.
    """
    height, width = size
    for x, y in pixels:
        if not (0 <= x < width and 0 <= y < height):
            raise ConfigError(f"pixel {x},{y} is outside the {width} x {height} picture; X,Y count from its top left")
    return tuple(Pixel(x=x, y=y) for x, y in pixels)
