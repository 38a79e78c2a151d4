"""Golden networks by name, and no weights of this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from golden import Golden


@pytest.fixture
def golden(shared: Path) -> Callable[[str], Golden]:
    """Return the golden folder of a network; skipped where the golden numbers are absent."""

    def find(name: str) -> Golden:
        folder = shared / "golden" / name
        if not folder.is_dir():
            pytest.skip(f"no golden numbers at {folder}")
        return Golden(folder)

    return find


@pytest.fixture(autouse=True)
def _no_weights_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KDCLI_WEIGHTS", str(tmp_path / "weights"))
