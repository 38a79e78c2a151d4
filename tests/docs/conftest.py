"""A desk for each block of the documents: an empty folder with what the block names, and no network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import ROOT
from doc_stock import Stock

from kdcli.config import RunConfig
from kdcli.plugins import registry
from kdcli.published import facts
from kdcli.training.run import dry_run
from kdcli.training.run.loss_parts import loss_parts
from kdcli.types import MadeFor

SHARE = 3
"""What the sizes of published networks are divided by here; tests/choosing has runs at their own."""


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return Stock(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the documentation as a site, built strictly."""
    if any(find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings_handlers")):
        pytest.skip("no mkdocs-material with mkdocstrings: pip install 'kdcli[docs]'")
    folder = tmp_path_factory.mktemp("site")
    told = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=180,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return folder


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty folder that is the working folder and the user's own, on a machine without network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("KDCLI_WEIGHTS", "KDCLI_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if find_spec("huggingface_hub") is not None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    small = {title: {far: _smaller(made) for far, made in known.items()} for title, known in facts.FACTS.items()}
    monkeypatch.setattr(facts, "FACTS", small)
    monkeypatch.setattr(dry_run, "measure", _of_one_image(dry_run.measure))
    yield tmp_path
    monkeypatch.undo()
    registry.discover.cache_clear()


def _of_one_image(measure: Callable[..., Any]) -> Callable[..., Any]:
    """Let a dry run measure steps of one image: studies of large networks have no option for it, and ask for 20 GiB.

    A loss that compares images gets as many as it needs.
    """

    def measured(config: RunConfig, *args: Any, **options: Any) -> Any:
        stages = tuple(
            replace(stage, batch_size=max([1, *(part.loss.needs.min_batch for part in loss_parts(stage, 0))]))
            for stage in config.stages
        )
        return measure(replace(config, stages=stages), *args, **{**options, "repeats": 1})

    return measured


def _smaller(made: MadeFor) -> MadeFor:
    def divided(size: tuple[int, int] | None) -> tuple[int, int] | None:
        return size and (32 * max(size[0] // SHARE // 32, 2), 32 * max(size[1] // SHARE // 32, 2))

    return replace(made, train_size=divided(made.train_size), eval_size=divided(made.eval_size))
