from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
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


@pytest.mark.parametrize("differences", [False, True])
def test_what_a_model_says_nothing_of_is_grey_in_its_columns(tmp_path: Path, differences: bool) -> None:
    depth = torch.linspace(1, 4, 200).expand(100, 200).clone()
    valid, silent = depth > 0, torch.zeros(100, 200, dtype=torch.bool)
    valid[:, :50], silent[:, 150:] = False, True
    predictions = {"whole": depth + 0.1, "part": depth + 0.2}
    example = Example(id="a", image=torch.ones(3, 100, 200), depth=depth, valid=valid, predictions=predictions,
                      silent={"part": silent})  # fmt: skip
    comparison(tmp_path / "p.png", [example], differences=differences)
    page = np.asarray(Image.open(tmp_path / "p.png").convert("RGB")).astype(int)
    columns = [page[LABEL + 10, GAP + i * (PANEL + GAP) :][:PANEL] for i in range(4 + 2 * differences)]
    grey = [(abs(one - 128) <= 1).all(1) for one in columns]
    holes = [np.flatnonzero(one).tolist() for one in grey]
    assert holes[:4] == [[], list(range(50)), [], list(range(150, 200))]
    if differences:
        assert holes[4:] == [list(range(50)), [*range(50), *range(150, 200)]]
