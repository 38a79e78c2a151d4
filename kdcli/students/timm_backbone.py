"""Any convolutional pyramid backbone of timm as a student."""

from __future__ import annotations

from typing import Literal

from kdcli.networks.pyramid import PyramidNet
from kdcli.types import Pretrained


class TimmStudent(PyramidNet):
    """Student over the timm model that the location names: ``timm:resnet18``, ``timm:convnext_atto,pretrained=true``.

    Metric depth at half the image's size, with the decoder and heads of ``mobilenet``.
    """

    api_version = 2

    def __init__(
        self,
        location: str,
        *,
        head: Literal["direct", "bins"] = "direct",
        bins: int = 64,
        spacing: Literal["log", "even"] = "log",
        min_depth: float = 0.1,
        max_depth: float = 10.0,
        pretrained: Pretrained = False,
        decoder: int = 16,
    ) -> None:
        """Build the network.

        Raises:
            SpecError: timm has no such model, or it gives no pyramid; a depth range that does not hold.
            WeightsError: ``pretrained`` where the weights cannot be had.
        """
        super().__init__(
            location, head=head, bins=bins, spacing=spacing, min_depth=min_depth, max_depth=max_depth,
            pretrained=pretrained, decoder=decoder,
        )
        self.architecture = f"timm:{location}" + (
            f",head={head},bins={bins},spacing={spacing},min_depth={min_depth},max_depth={max_depth},decoder={decoder}"
        )
        """Spec of the same network with random weights, to load trained ones into."""
