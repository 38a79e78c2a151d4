"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real samples and golden numbers; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("KDCLI_TEST_DATA", Path(__file__).resolve().parents[2] / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"no real samples at {path}; set KDCLI_TEST_DATA")
    return path


# Tests run in several processes; threads of their own would only make them wait for one another.
torch.set_num_threads(1)
