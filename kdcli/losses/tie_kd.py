"""The losses of TIE-KD (arXiv 2402.14340), as released and put right: see docs/tie-kd.md for every difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.losses.base import SEVERAL
from kdcli.losses.dpm import Dpm, Grid, check_sigma
from kdcli.losses.dpm_kl import Form, Map, check_form, dpm_kl
from kdcli.losses.ssim import Ssim
from kdcli.maps import full_precision, widen
from kdcli.protocols import API_VERSION
from kdcli.types import DepthKind, Needs

if TYPE_CHECKING:
    from kdcli.protocols import StepContext

RELEASED_SIGMA = 0.5
"""Metres; what the released code uses whatever is configured, since its combined loss never passes sigma on."""
SKY_WIDTH, SKY_ROWS = 704, 110
"""Maps of this width lose so many rows at the top in the released code: the sky of KITTI's 352 x 704 crops."""
SCALE = 10.0
METRIC = frozenset({DepthKind.METRIC})


class _OfBins:
    """What the losses share: options, the cut at the top, targets."""

    api_version: ClassVar[int] = API_VERSION
    name: ClassVar[str]
    value_at_equality: float = 0.0
    invariances: frozenset[str] = frozenset()

    def __init__(self, form: Form, sky: int | float | None) -> None:
        check_form(self.name, form)
        if sky is not None and not (0 <= sky < 1 or (sky >= 1 and sky == int(sky))):
            raise ConfigError(f"{self.name}: sky={sky} must be a number of rows, or a share of them below 1")
        self.form, self._sky = form, sky

    def rows_left_out(self, height: int, width: int) -> int:
        """Return how many rows at the top of a map do not count.

        Raises:
            ConfigError: none would be left.
        """
        if self._sky is None:
            found = SKY_ROWS if self.form == "released" and width == SKY_WIDTH else 0
        else:
            found = round(self._sky * height) if self._sky < 1 else int(self._sky)
        if found >= height:
            raise ConfigError(f"{self.name}: sky={found} leaves nothing of a map of {height} rows; use a smaller one")
        return found

    def targets(self, ctx: StepContext) -> list[tuple[Tensor, Tensor]]:
        """Return every teacher's depth and where it counts; everywhere in the released form."""
        found = []
        for teacher in ctx.teachers.values():
            depth, valid = ctx.target(teacher)
            depth = widen(depth.detach())
            known = valid & torch.isfinite(depth)
            counted = known if self.form == "corrected" else torch.ones_like(known)
            found.append((torch.where(known, depth, 0.0), counted))
        return found


class TieKdDpm(_OfBins):
    """The distribution term L_DPM: KL divergence from the teacher's depth probability map to the student's, in nats.

    Needs a student with evenly spaced bins, in depth (``tie-kd``) or in its logarithm (``mobilenet,head=bins``).

    ``form=corrected`` (the default): ``dpm=gaussian``, sum of P ln(P / Q) over all bins, mean over the pixels whose
    target is known. ``form=released``: ``dpm=released``, bins in which the student is exactly 0 are left out, 1e-7
    inside the logarithm, mean over all pixels; maps 704 wide lose their upper 110 rows.

    ``sigma``: spread of the teacher's map in metres, for log bins a share of the depth; by default 0.5 in the released
    form, in the corrected one the width of a bin. ``sky``: rows at the top that do not count, or
    their share of the height.
    """

    name: ClassVar[str] = "tie-kd-dpm"
    needs = Needs(outputs=frozenset({"probs"}), kinds=METRIC, teachers=SEVERAL)

    def __init__(self, *, form: Form = "corrected", dpm: Dpm | None = None, sigma: float | None = None,
                 sky: int | float | None = None) -> None:
        super().__init__(form, sky)
        if sigma is not None:
            check_sigma(sigma)
        self.dpm: Dpm = dpm or ("released" if form == "released" else "gaussian")
        self.sigma = sigma
        self._grid: Grid | None = None
        # A map is compared with a single number per pixel: a student is never equal to its own map.
        self.value_at_equality = float("nan")

    def build(self, ctx: StepContext) -> None:
        """Look at the student's bins, once: they are read on the host."""
        self._grid = Grid.of(_bins(self.name, ctx)[1])

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the divergence; of several teachers the mean."""
        return {self.name: torch.stack([self.value(ctx, *target) for target in self.targets(ctx)]).mean()}

    def value(self, ctx: StepContext, depth: Tensor, valid: Tensor) -> Tensor:
        """Return the divergence from one teacher's depth, B x 1 x h x w, where it is valid."""
        probs, centers = _bins(self.name, ctx)
        if self._grid is None or self._grid.count != len(centers):
            self._grid = Grid.of(centers)
        top = self.rows_left_out(*probs.shape[-2:])
        with full_precision(probs.device):
            how = Map(grid=self._grid, sigma=self.spread(self._grid), dpm=self.dpm, form=self.form, top=top)
            total = dpm_kl(widen(probs), depth, centers, how, None if self.form == "released" else valid)
            return total / valid[:, :, top:].sum().clamp_min(1).to(total.dtype)

    def spread(self, grid: Grid) -> float:
        """Return sigma in the coordinate of the bins."""
        if self.sigma is not None:
            return self.sigma
        return RELEASED_SIGMA if self.form == "released" else grid.step


class TieKdDepth(_OfBins):
    """The depth term L_depth: 1 - SSIM of the student's expected depth and the teacher's, in metres.

    Window 11, sigma 1.5, C1 = 1e-4, C2 = 9e-4 (a dynamic range of 1 m, as published; ``data_range`` changes it).
    ``form=released`` takes absolute values of variances and covariance, which makes it blind to opposite slopes, pads
    with zeros, and knows no unknown target. ``form=corrected``: none of these. ``sky`` as in ``tie-kd-dpm``.
    """

    name: ClassVar[str] = "tie-kd-depth"
    needs = Needs(kinds=METRIC, teachers=SEVERAL)

    def __init__(self, *, form: Form = "corrected", data_range: float = 1.0, sky: int | float | None = None) -> None:
        super().__init__(form, sky)
        self._ssim = as_published(form, data_range)

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return 1 - SSIM; of several teachers the mean."""
        return {self.name: torch.stack([self.value(ctx, *target) for target in self.targets(ctx)]).mean()}

    def value(self, ctx: StepContext, depth: Tensor, valid: Tensor) -> Tensor:
        """Return 1 - SSIM against one teacher's depth, B x 1 x h x w."""
        said = ctx.student.out.depth
        top = self.rows_left_out(*said.shape[-2:])
        return self._ssim(said[:, :, top:], depth[:, :, top:], valid[:, :, top:])


class TieKd(_OfBins):
    """TIE-KD whole: 10 (alpha L_DPM + (1 - alpha) L_depth), with alpha = 0.1, from the teacher's depth alone.

    Logged as ``dpm`` and ``depth``, already weighted. ``form=corrected`` (the default) or ``released``, which gives
    the released code's numbers; the options are those of ``tie-kd-dpm`` and ``tie-kd-depth``.
    """

    name: ClassVar[str] = "tie-kd"
    needs = Needs(outputs=frozenset({"probs"}), kinds=METRIC, teachers=SEVERAL)

    def __init__(self, *, form: Form = "corrected", alpha: float = 0.1, dpm: Dpm | None = None,
                 sigma: float | None = None, data_range: float = 1.0, sky: int | float | None = None) -> None:
        super().__init__(form, sky)
        if not 0 <= alpha <= 1:
            raise ConfigError(f"tie-kd: alpha={alpha} must be within 0..1; beyond, one term would be unlearned")
        self.alpha = alpha
        self._dpm = TieKdDpm(form=form, dpm=dpm, sigma=sigma, sky=sky)
        self._depth = TieKdDepth(form=form, data_range=data_range, sky=sky)
        self.value_at_equality = float("nan")

    def build(self, ctx: StepContext) -> None:
        """Look at the student's bins, once."""
        self._dpm.build(ctx)

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return both terms, weighted; of several teachers the mean."""
        targets = self.targets(ctx)
        dpm = torch.stack([self._dpm.value(ctx, *target) for target in targets]).mean()
        depth = torch.stack([self._depth.value(ctx, *target) for target in targets]).mean()
        return {"dpm": SCALE * self.alpha * dpm, "depth": SCALE * (1 - self.alpha) * depth}


def as_published(form: Form, data_range: float = 1.0) -> Ssim:
    """Return SSIM with TIE-KD's constants, with the faults of the released code or without."""
    if form == "released":
        ssim = Ssim(data_range=data_range, border="zero", absolute=True)
        ssim.rounded_window = True  # it shows where depth is flat
        return ssim
    return Ssim(data_range=data_range)


def _bins(name: str, ctx: StepContext) -> tuple[Tensor, Tensor]:
    """Return the student's distribution B x K x h x w and its bin centres K.

    Raises:
        ConfigError: it has none.
    """
    out = ctx.student.out
    if out.probs is None or out.centers is None:
        raise ConfigError(
            f"loss '{name}' needs a student with a distribution over depth bins; use tie-kd or mobilenet,head=bins"
        )
    return out.probs, out.centers if out.centers.ndim == 1 else out.centers[0]
