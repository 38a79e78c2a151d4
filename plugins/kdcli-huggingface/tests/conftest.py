"""Fixtures of the package's tests."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

NEEDED = ("kdcli_huggingface", "transformers", "huggingface_hub")


def missing() -> str | None:
    """Return why the tests cannot run here; None where they can."""
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not lacking and not any(importlib.metadata.distributions(name="kdcli-huggingface")):
        lacking = ["the entry points of kdcli-huggingface"]
    return f"{' and '.join(lacking)} not installed; pip install ./plugins/kdcli-huggingface" if lacking else None


class NotInstalled(pytest.Module):
    """A test file that cannot be looked at: it imports what is not there."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(str(missing()), allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip the files with a reason where the package, or what it stands on, is not installed."""
    return NotInstalled.from_parent(parent, path=module_path) if missing() is not None else None


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small model by name, written when it is first asked for; see ``hf_tiny.MODELS``."""
    from hf_tiny import MODELS

    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name.replace("/", "-"))
            torch.manual_seed(0)
            network, processor = MODELS[name]()
            network.save_pretrained(made[name])
            processor.save_pretrained(made[name])
        return made[name]

    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests from the network and from the user's cache."""
    import huggingface_hub.constants

    for name in ("KDCLI_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY",
                 "all_proxy", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
