"""Fixtures of the package's tests."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest
import torch

NEEDED = ("kdcli_trials",)


def missing() -> str | None:
    """Return why the tests cannot run here; None where they can."""
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not lacking and not any(importlib.metadata.distributions(name="kdcli-trials")):
        lacking = ["the entry points of kdcli-trials"]
    return f"{' and '.join(lacking)} not installed; pip install ./plugins/kdcli-trials" if lacking else None


class NotInstalled(pytest.Module):
    """A test file that cannot be looked at: it imports what is not there."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(str(missing()), allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip the files with a reason where the package, or what it stands on, is not installed."""
    return NotInstalled.from_parent(parent, path=module_path) if missing() is not None else None


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
