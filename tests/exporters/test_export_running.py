"""What exported files take and give is looked at, whoever wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdcli.errors import ConfigError, WeightsError
from kdcli.exporters.formats.running import fixed_sides, maps_of

PATH, IMAGE = Path("net.onnx"), torch.zeros(2, 3, 4, 6)


@pytest.mark.parametrize(
    ("shape", "found"),
    [(["b", 3, "h", "w"], (None, None)), ([1, 3, 4, 6], (1, (4, 6))), (["b", None, 4, 6], (None, (4, 6)))],
)
def test_sides_that_a_file_fixes(shape: Sequence[Any], found: object) -> None:
    assert fixed_sides(shape, PATH) == found


@pytest.mark.parametrize(
    "shape",
    [[], [3, 4, 6], [1, 3, 4, 6, 1], [1, 4, 4, 6], ["b", 3, 4, "w"], ["b", 3, "h", 6], [0, 3, 4, 6], [1, 3, -4, 6]],
)
def test_other_shapes_are_no_images(shape: Sequence[Any]) -> None:
    with pytest.raises(WeightsError, match=r"'net.onnx' takes .*, not a batch of images with three colours;"):
        fixed_sides(shape, PATH)


def test_maps_come_as_float32_by_name() -> None:
    given = [np.full((2, 1, 2, 3), 1.5, np.float64), torch.ones(2, 1, 4, 6).half()]
    found = maps_of(PATH, IMAGE, ("depth", "std"), lambda: given)
    assert {name: (one.dtype, float(one.max())) for name, one in found.items()} == {
        "depth": (torch.float32, 1.5),
        "std": (torch.float32, 1.0),
    }


@pytest.mark.parametrize(
    "given",
    [
        np.ones((2, 1, 2, 3), np.int64),
        np.ones((1, 1, 2, 3)),
        np.ones((2, 2, 3)),
        np.ones(()),
        np.ones((2, 1, 0, 3)),
        np.ones((2, 2, 2, 3)),
    ],
)
def test_what_is_no_map_is_refused(given: Any) -> None:
    with pytest.raises(WeightsError, match=r"gives 'depth' of .*, not a map for each image"):
        maps_of(PATH, IMAGE, ("depth",), lambda: [given])
    with pytest.raises(WeightsError, match="gives 2 outputs, not depth;"):
        maps_of(PATH, IMAGE, ("depth",), lambda: [given, given])


def test_a_runtime_that_fails_is_told_with_the_size() -> None:
    def run() -> Sequence[Any]:
        raise RuntimeError("no such\nkernel")

    with pytest.raises(ConfigError, match=r"does not take 2 images of 4x6 \(no such kernel\); .* --size 4x6"):
        maps_of(PATH, IMAGE, ("depth",), run)
