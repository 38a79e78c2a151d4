"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from golden import Golden
from slow_sample import (  # noqa: F401  (hooks)
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_report_header,
)


@pytest.fixture(scope="session", autouse=True)
def wide_tables() -> Iterator[None]:
    """Give tables room for a line a row; how they fold has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "400")
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real samples and golden numbers; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("KDCLI_TEST_DATA", Path(__file__).resolve().parents[2] / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"no real samples at {path}; set KDCLI_TEST_DATA")
    return path


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], Golden]:
    """Return the golden folder of a network; skipped where the golden numbers are absent."""

    def find(name: str) -> Golden:
        folder = shared / "golden" / name
        if not folder.is_dir():
            pytest.skip(f"no golden numbers at {folder}")
        return Golden(folder)

    return find


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine without pretrained weights and without network; the folder of weights, which is empty."""
    import huggingface_hub.constants

    place = tmp_path_factory.mktemp("machine")
    for key, folder in (("KDCLI_WEIGHTS", "weights"), ("XDG_CACHE_HOME", "cache"), ("TORCH_HOME", "torch")):
        monkeypatch.setenv(key, str(place / folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(place / "hub"))
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    (place / "weights").mkdir()
    return place / "weights"


# A run may fetch weights where they can be had; no test does but those of fetching, from a server of their own.
os.environ["KDCLI_OFFLINE"] = "1"

# Tests run in several processes; threads of their own would only make them wait for one another.
torch.set_num_threads(1)
