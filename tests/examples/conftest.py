"""A student's file and a simulated picture, which all examples are given, and the map that the one in Python makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from example_nets import python_example, room, student, write

from kdcli.exporters import export


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("student") / "small.onnx"
    export(student(), None, path, verify=False, card={"licence": "Apache-2.0"})
    return path


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    return room(7)


@pytest.fixture(scope="session")
def photo(picture: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(picture, tmp_path_factory.mktemp("photo") / "photo.png")


@pytest.fixture(scope="session")
def expected(onnx_file: Path, picture: np.ndarray) -> np.ndarray:
    """What the example in Python says of the picture, H x W float32."""
    return np.asarray(python_example().DepthFile(str(onnx_file), 1)(picture))
