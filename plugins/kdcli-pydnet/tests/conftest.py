"""Fixtures of the package's tests."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import torch


class NotInstalled(pytest.Module):
    """A test file that cannot be looked at: the package it tests is not there."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip("kdcli-pydnet is not installed; pip install ./plugins/kdcli-pydnet", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip the files with a reason where the package is not installed: they import it."""
    if importlib.util.find_spec("kdcli_pydnet") is None:
        return NotInstalled.from_parent(parent, path=module_path)
    return None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real samples and weights; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("KDCLI_TEST_DATA", Path(__file__).resolve().parents[4] / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"no real samples at {path}; set KDCLI_TEST_DATA")
    return path


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
