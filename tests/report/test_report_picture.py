from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from kdcli.evals.examples import Example
from kdcli.report.picture import GAP, LABEL, PANEL, comparison


def test_an_image_seen_at_another_aspect_ratio_is_shown_at_its_own(tmp_path: Path) -> None:
    depth = torch.linspace(1, 4, 64).expand(48, 64)
    example = Example(
        id="a", image=torch.rand(3, 32, 32), depth=depth, valid=depth > 0, predictions={"m": depth + 0.1}
    )
    comparison(tmp_path / "p.png", [example], unit="m")
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width == 3 * (PANEL + GAP) + GAP
        assert picture.height > LABEL + PANEL * 48 // 64 + GAP
