"""Inner features as a target at first, depth alone at last."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from kdcli.errors import SpecError
from kdcli.losses.features import Features
from kdcli.protocols import StepContext


class FadingFeatures(Features):
    """Loss ``features`` times 1 - p / until, p the share of the steps that is done; 0 from ``until`` on."""

    def __init__(
        self, *, taps: str = "enc@4|enc@8|enc@16|enc@32", teacher_taps: str = "", until: float = 1.0
    ) -> None:
        """Take the options.

        Raises:
            SpecError: features that cannot be paired, or an end outside 0..1.
        """
        super().__init__(taps=taps, teacher_taps=teacher_taps)
        if not 0 < until <= 1:
            raise SpecError(f"fading-features: until={until:g} must be within 0..1; 1 is the end of the stage")
        self.until = until

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean over the pairs, faded."""
        weight = max(0.0, 1 - ctx.progress / self.until)
        return {name: value * weight for name, value in super().terms(ctx).items()}
