"""The default student: MobileNetV2 with a light decoder."""

from __future__ import annotations

from typing import Literal

from kdcli.errors import SpecError
from kdcli.networks.pyramid import PyramidNet
from kdcli.types import Pretrained

VARIANTS = {
    0.35: "mobilenetv2_035",
    0.5: "mobilenetv2_050",
    0.75: "mobilenetv2_075",
    1.0: "mobilenetv2_100",
    1.1: "mobilenetv2_110d",
    1.4: "mobilenetv2_140",
}
"""Width multiplier -> timm's name; 1.1 is timm's deeper variant, the only one of that width."""


class MobileNet(PyramidNet):
    """MobileNetV2 student with metric depth at half the image's size; images of any size.

    ``head=bins`` classifies over ``bins`` depths, even in the logarithm or (``spacing=even``) in metres, and also gives
    ``probs`` and ``centers``. ``decoder`` is
    the width of the decoder's finest level.
    """

    api_version = 2

    def __init__(
        self,
        *,
        width: float = 1.0,
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
            SpecError: a width that timm has no variant for, or a depth range that does not hold.
            WeightsError: ``pretrained`` where the weights cannot be had.
        """
        if width not in VARIANTS:
            raise SpecError(f"mobilenet has no width {width:g}; use one of {', '.join(f'{w:g}' for w in VARIANTS)}")
        super().__init__(
            VARIANTS[width], head=head, bins=bins, spacing=spacing, min_depth=min_depth, max_depth=max_depth,
            pretrained=pretrained, decoder=decoder,
        )
        self.architecture = f"mobilenet,width={width:g}" + (
            f",head={head},bins={bins},spacing={spacing},min_depth={min_depth},max_depth={max_depth},decoder={decoder}"
        )
        """Spec of the same network with random weights, to load trained ones into."""
