"""Third-party packages in sight of one test at a time, and their recipes run in every way that a run may go."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_runs import Prototype
from contract_site import PACKAGES, install

from kdcli.plugins import registry


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all packages; nothing sees it yet."""
    folder = tmp_path_factory.mktemp("site")
    for package in sorted(PACKAGES.iterdir()):
        install(package, folder)
    return folder


@pytest.fixture
def installed(site: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The packages, installed for this test alone."""
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path_factory.getbasetemp() / "contract-cache"))
    # Others may be installed, with plugins of the same names.
    monkeypatch.setenv("KDCLI_PLUGINS", ",".join(package.name for package in PACKAGES.iterdir()))
    monkeypatch.syspath_prepend(str(site))
    forget()
    yield site
    forget()
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(site)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def prototypes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prototype]:
    """Prototypes whose whole run some test has asked for, by recipe."""
    return {}


def forget() -> None:
    """Let the registry look again."""
    registry.discover.cache_clear()
    registry.load.cache_clear()
