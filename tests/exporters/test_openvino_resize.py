"""What OpenVINO would do otherwise than the network is refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from export_formats import there
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError
from kdcli.exporters import export
from kdcli.types import DepthKind, Prediction, Provenance


class Resized(nn.Module):
    """Brings its image to a size of its own, with antialiasing."""

    depth_kind = DepthKind.METRIC
    depth_range = (0.0, 20.0)
    provenance = Provenance(name="toy", licence="MIT", training_data="noise")
    taps: ClassVar[dict[str, object]] = {}

    def __init__(self, size: tuple[int, int], mode: str) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3, padding=1)
        self.size, self.mode = size, mode

    def forward(self, image: Tensor) -> Prediction:
        image = functional.interpolate(image, size=self.size, mode=self.mode, antialias=True)
        return Prediction(depth=1 + self.layer(image).abs(), kind=self.depth_kind)


@pytest.mark.parametrize(("size", "mode"), [((32, 48), "bilinear"), ((128, 192), "bicubic")])
def test_a_dropped_antialiasing_is_refused(size: tuple[int, int], mode: str, tmp_path: Path) -> None:
    there("openvino")
    with pytest.raises(ConfigError, match=r"antialias=True, which OpenVINO drops; .* --format onnx"):
        export(Resized(size, mode).eval(), "openvino", tmp_path / "m.xml", size=(64, 96))
    assert not list(tmp_path.iterdir())


def test_one_that_makes_larger_is_kept(tmp_path: Path) -> None:
    there("openvino")
    export(Resized((128, 192), "bilinear").eval(), "openvino", tmp_path / "m.xml", size=(64, 96))
    assert (tmp_path / "m.xml").exists()
