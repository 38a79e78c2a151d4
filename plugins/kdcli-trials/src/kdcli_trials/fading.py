"""Inner features as a target at first, depth alone at last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

import kdcli
from kdcli.errors import SpecError
from kdcli.protocols import API_VERSION, StepContext


class FadingFeatures(nn.Module):
    """Loss ``features`` times 1 - p / until, p the share of the steps that is done; 0 from ``until`` on."""

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = float("nan")
    invariances: frozenset[str] = frozenset({"scale", "shift"})

    def __init__(self, *, taps: str = "enc@4|enc@8|enc@16|enc@32", until: float = 1.0) -> None:
        """Take the options.

        Raises:
            SpecError: features that cannot be paired, or an end outside 0..1.
        """
        super().__init__()
        self.features = kdcli.build("loss", f"features,taps={taps}")
        self.needs = self.features.needs
        if not 0 < until <= 1:
            raise SpecError(f"fading-features: until={until:g} must be within 0..1; 1 is the end of the stage")
        self.until = until

    def build(self, ctx: StepContext) -> None:
        """Let it make its convolutions."""
        self.features.build(ctx)

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean over the pairs, faded."""
        weight = max(0.0, 1 - ctx.progress / self.until)
        return {name: value * weight for name, value in self.features.terms(ctx).items()}
