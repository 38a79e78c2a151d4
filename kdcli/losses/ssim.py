"""One minus structural similarity (Wang et al. 2004) of two depth maps."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.losses.base import SEVERAL, PointwiseLoss
from kdcli.types import ANY_KIND, Needs


class Ssim(PointwiseLoss):
    """Mean of 1 - SSIM over the valid pixels; Gaussian window, K1 = 0.01, K2 = 0.03.

    ``data_range`` is the L of C1 = (K1 L)^2 and C2 = (K2 L)^2, in the depth's unit; by default the largest valid
    |target| of each image, which makes the value the same in metres and millimetres. TIE-KD uses 1 whatever the range.

    ``border=masked`` averages each window over its valid pixels inside the image; ``border=zero`` pads with zeros and
    ignores the mask inside the window, as TIE-KD does. ``absolute`` takes absolute values of variances and covariance
    as TIE-KD does (it hides opposite slopes; only for comparison).
    """

    name: ClassVar[str] = "ssim"
    needs = Needs(kinds=ANY_KIND, teachers=SEVERAL)

    def __init__(
        self,
        *,
        window: int = 11,
        sigma: float = 1.5,
        data_range: float | None = None,
        border: Literal["masked", "zero"] = "masked",
        absolute: bool = False,
    ) -> None:
        if window < 3 or window % 2 == 0:
            raise ConfigError(f"ssim: window={window} must be odd and at least 3")
        if sigma <= 0 or (data_range is not None and data_range <= 0):
            raise ConfigError(f"ssim: sigma={sigma} and data_range={data_range} must be above 0")
        self.window, self.sigma, self.data_range = window, sigma, data_range
        self.border, self.absolute = border, absolute
        self.rounded_window = False
        """Whether the window is two-dimensional in float32, as TIE-KD's: it then sums to 1 within seven digits."""

    def pixel(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return 1 - SSIM at each pixel, B x 1 x h x w."""
        kernel = self._kernel(prediction)
        weight = valid.to(prediction.dtype)
        if self.border == "masked":
            # Variances are differences of squares: take them around each image's mean, or float32 loses them.
            share = weight.sum((1, 2, 3), keepdim=True).clamp_min(1)
            centre = (weight * target).sum((1, 2, 3), keepdim=True) / share
            inside = self._blur(weight, kernel).clamp_min(1e-8)
            x, y = (prediction - centre) * weight, (target - centre) * weight
        else:
            centre, inside = torch.zeros_like(weight[:1, :1, :1, :1]), torch.ones_like(weight)
            x, y = prediction, target
        stacked = torch.cat([x, y, x * x, y * y, x * y], dim=1)
        moments = self._blur(stacked, kernel) / inside
        mean_x, mean_y, square_x, square_y, product = moments.chunk(5, dim=1)
        variance_x, variance_y = square_x - mean_x.square(), square_y - mean_y.square()
        covariance = product - mean_x * mean_y
        if self.absolute:
            variance_x, variance_y, covariance = variance_x.abs(), variance_y.abs(), covariance.abs()
        mean_x, mean_y = mean_x + centre, mean_y + centre
        reach = self._reach(target, valid)
        c1, c2 = (0.01 * reach) ** 2, (0.03 * reach) ** 2
        light = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
        structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
        return 1 - light * structure

    def _reach(self, target: Tensor, valid: Tensor) -> Tensor:
        if self.data_range is not None:
            return torch.full_like(target[:, :, :1, :1], self.data_range)
        return torch.where(valid, target, 0.0).abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-6)

    def _kernel(self, like: Tensor) -> Tensor:
        # In float64: a window that sums to 1 only within float32 shows in float64 variances, differences of squares.
        kind = torch.float32 if self.rounded_window else torch.float64
        at = torch.arange(self.window, device=like.device, dtype=kind) - self.window // 2
        bell = torch.exp(-at.square() / (2 * self.sigma**2))
        return bell / bell.sum()

    def _blur(self, maps: Tensor, kernel: Tensor) -> Tensor:
        channels, half = maps.shape[1], self.window // 2
        if self.rounded_window:
            square = torch.outer(kernel, kernel).to(maps.dtype).expand(channels, 1, -1, -1)
            return functional.conv2d(maps, square, padding=half, groups=channels)
        kernel = kernel.to(maps.dtype)
        column = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
        row = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
        maps = functional.conv2d(maps, column, padding=(half, 0), groups=channels)
        return functional.conv2d(maps, row, padding=(0, half), groups=channels)
