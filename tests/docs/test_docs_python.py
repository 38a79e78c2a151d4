"""Every block of Python in README and docs runs as it stands, on a desk with small stand-ins for what it names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import Block, blocks
from doc_stock import Stock

import kdcli
from kdcli.scaffold import new_package

SHORT = {"steps": 2, "batch_size": 1, "size": (64, 96), "workers": 0}
"""What a documented configuration is cut down to."""


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.label)
def test_a_block_of_python_runs(block: Block, stock: Stock, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock.lay_out(block, desk, but=set())
    monkeypatch.setattr(kdcli, "configure", _shortened(kdcli.configure))
    if "kdcli_my_loss" in block.text:  # what the lines before this block begin
        monkeypatch.syspath_prepend(str(new_package("loss", "my-loss", desk).folder))
    names: dict[str, Any] = {"__name__": "of_the_page"}
    with stock.hub(block, desk):
        exec(compile(block.text, str(block.page), "exec"), names)
    for name, test in names.items():
        if name.startswith("test_"):
            test()


def _shortened(configure: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(configure)
    def wrapper(*args: Any, **given: Any) -> Any:
        return configure(*args, **{**given, **SHORT})

    return wrapper


def test_there_are_blocks() -> None:
    assert len(blocks("python")) >= 2
