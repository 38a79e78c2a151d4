"""A model's image processor as tensor operations: batched, on the image's device, with a gradient to the image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn, tensor
from torch.nn import functional

from kdcli.errors import ConfigError, SpecError
from kdcli.spec import parse_size

_MODES = {0: "nearest-exact", 1: "bicubic", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of resampling filters; Lanczos is taken as bicubic, as transformers' own tensor code does."""

_REFUSED = {"do_center_crop": "cuts images", "do_flip_channel_order": "swaps their colours"}

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a processor does to images of 0..1: reflect, resize, scale, normalise, pad, each where it does.

    target: size to resize to; None leaves images as they are. keep_ratio: only one side of it is met. multiple: to
    which sides are rounded. floor: sides are rounded down to a multiple of this instead of going to a target.
    reflect: the frame is continued by reflection first. corners, antialias, clip: how it is resized; bytes cannot hold
    what a bicubic filter overshoots. pad: zeros around, to a multiple of this.
    """

    target: Size | None = None
    keep_ratio: bool = False
    multiple: float = 1
    floor: int | None = None
    reflect: bool = False
    mode: str = "bilinear"
    corners: bool = False
    antialias: bool = True
    clip: bool = True
    scale: float = 1.0
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    pad: int | None = None

    def resized(self, height: int, width: int) -> Size:
        """Return the size that an image is resized to, after reflection and before zeros are put around it."""
        if self.floor is not None:
            return max(height // self.floor, 1) * self.floor, max(width // self.floor, 1) * self.floor
        if self.target is None:
            return height, width
        down, across = self.target[0] / height, self.target[1] / width
        if self.keep_ratio:
            # The side that changes less decides.
            down = across = across if abs(1 - across) < abs(1 - down) else down
        return self._rounded(down * height), self._rounded(across * width)

    @property
    def fixed(self) -> Size | None:
        """The size at which the network sees every image; None where that depends on the image."""
        if self.target is None or self.keep_ratio:
            return None
        height, width = self.resized(*self.target)
        before, after = zip(margins(height, self.pad), margins(width, self.pad), strict=True)
        return height + before[0] + after[0], width + before[1] + after[1]

    def _rounded(self, side: float) -> int:
        # Half goes to the even multiple, as in transformers.
        return int(round(side / self.multiple) * self.multiple)


class Preprocess(nn.Module):
    """Images B x 3 x H x W of 0..1 to what the network takes, as the plan says."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        # Numbers of the processor, no weights: they are not part of the state.
        self.register_buffer("mean", tensor(plan.mean or (0.0,)).view(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", tensor(plan.deviation or (1.0,)).view(-1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Prepare images."""
        plan = self.plan
        if plan.reflect:
            down, across = reflected(image.shape[-2]), reflected(image.shape[-1])
            image = functional.pad(image, (across, across, down, down), mode="reflect")
        size = plan.resized(image.shape[-2], image.shape[-1])
        if size != tuple(image.shape[-2:]):
            image = self._resize(image, size)
        if plan.scale != 1.0:
            image = image * plan.scale
        if plan.mean is not None:
            image = (image - self.mean) / self.deviation
        if plan.pad is not None:
            (top, bottom), (left, right) = (margins(side, plan.pad) for side in image.shape[-2:])
            image = functional.pad(image, (left, right, top, bottom))
        return image

    def _resize(self, image: Tensor, size: Size) -> Tensor:
        plan = self.plan
        if plan.mode == "nearest-exact":
            return functional.interpolate(image, size=size, mode=plan.mode)
        if not (plan.clip and plan.mode == "bicubic"):
            return self._filtered(image, size)
        # Bytes are resized along rows and then along columns, and cannot overshoot after either.
        for step in ((image.shape[-2], size[1]), size):
            if step != tuple(image.shape[-2:]):
                image = self._filtered(image, step).clamp(0, 1)
        return image

    def _filtered(self, image: Tensor, size: Size) -> Tensor:
        plan = self.plan
        return functional.interpolate(
            image, size=size, mode=plan.mode, align_corners=plan.corners, antialias=plan.antialias
        )


def plan_of(settings: Mapping[str, Any], size: str | None, step: int) -> Plan:
    """Return what a processor of these settings (``to_dict()``) does.

    Args:
        settings: of the processor.
        size: ``HxW`` that the network is to see instead.
        step: sides have to be multiples of this.

    Raises:
        SpecError: a size that does not fit. ConfigError: a processor that does what is not known here.
    """
    family = str(settings.get("image_processor_type", "")).removesuffix("Fast").removesuffix("Pil")
    for key, what in _REFUSED.items():
        if settings.get(key):
            raise ConfigError(f"the image processor {family} {what} ({key}), which this plugin does not do")
    plan = _base(settings)
    if family == "GLPNImageProcessor":
        plan = replace(plan, floor=int(settings.get("size_divisor") or 32))
    elif family == "ZoeDepthImageProcessor":
        plan = replace(plan, reflect=bool(settings.get("do_pad")), corners=True, antialias=False, clip=False)
    elif family == "DepthProImageProcessor":
        plan = replace(plan, antialias=False, clip=False)
    if not settings.get("do_resize"):
        plan = replace(plan, floor=None)
    elif plan.floor is None:
        plan = replace(
            plan, target=_target(settings, family, size), keep_ratio=bool(settings.get("keep_aspect_ratio")),
            multiple=settings.get("ensure_multiple_of") or 1,
        )
    if family not in ("GLPNImageProcessor", "ZoeDepthImageProcessor") and settings.get("do_pad"):
        plan = replace(plan, pad=int(settings.get("size_divisor") or 1))
    return plan if size is None else _sized(plan, size, step)


def reflected(side: int) -> int:
    """Return by how many pixels a side is continued at either end, as ZoeDepth does."""
    return min(int(math.sqrt(side / 2) * 3), side - 1)


def margins(side: int, multiple: int | None) -> tuple[int, int]:
    """Return the zeros before and after a side that make it a multiple."""
    missing = 0 if multiple is None else -side % multiple
    return missing // 2, missing - missing // 2


def _base(settings: Mapping[str, Any]) -> Plan:
    # A processor is given bytes; those that do not rescale have means of 0..255.
    scale = 255.0 * float(settings.get("rescale_factor") or 1 / 255) if settings.get("do_rescale") else 255.0
    number = settings.get("resample")
    if number is not None and int(number) not in _MODES:
        raise ConfigError(f"the image processor resizes with Pillow's filter {int(number)}, which is not known here")
    plan = Plan(mode="bilinear" if number is None else _MODES[int(number)], scale=scale)
    if not settings.get("do_normalize"):
        return plan
    mean, deviation = (_three(settings[key]) for key in ("image_mean", "image_std"))
    return replace(plan, mean=mean, deviation=deviation)


def _three(values: Any) -> tuple[float, ...]:
    return (float(values),) * 3 if isinstance(values, int | float) else tuple(float(value) for value in values)


def _target(settings: Mapping[str, Any], family: str, size: str | None) -> Size | None:
    sides = settings.get("size") or {}
    if sides.get("height") and sides.get("width"):
        return int(sides["height"]), int(sides["width"])
    if size is None:
        raise SpecError(f"the image processor {family} names no height and width ({dict(sides)}); add size=HxW")
    return None


def _sized(plan: Plan, size: str, step: int) -> Plan:
    height, width = parse_size(size)
    if height % step or width % step:
        fits = "x".join(str(max(round(side / step), 1) * step) for side in (height, width))
        raise SpecError(f"'hf,size={size}' is no multiple of {step}, which this network needs; use size={fits}")
    return replace(plan, target=(height, width), keep_ratio=False, multiple=1, floor=None)
