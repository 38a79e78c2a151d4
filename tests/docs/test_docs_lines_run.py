"""Every kdcli line of README and docs runs as it stands, on a desk with small stand-ins for what it names."""

from __future__ import annotations

import functools
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import Block, blocks, is_whole, within_sentences
from doc_hub import served
from doc_install import in_sight
from doc_rules import REASONS, not_run, shortened
from doc_runs import call
from doc_stock import Stock, absolute, made_by
from random_weights import checkpoint

BLOCKS = [
    block for block in (*blocks("console", "bash"), *filter(is_whole, within_sentences()))
    if any(words[0] == "kdcli" for words in block.calls())
]
COSTLY = re.compile(r"\b(adabins|bts|depthformer|study)\b")
"""Words of commands that evaluate a large network, or several."""


def _cells() -> list[Any]:
    def marks(block: Block) -> list[pytest.MarkDecorator]:
        return [pytest.mark.slow] if COSTLY.search(block.text) else []

    return [pytest.param(block, id=block.label, marks=marks(block)) for block in BLOCKS]


@pytest.mark.parametrize("block", _cells())
def test_the_lines_of_a_block_run(block: Block, stock: Stock, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [absolute(words, desk) for words in block.calls()]
    stock.lay_out(block, desk, but=set(made_by(calls)))
    with stock.hub(block, desk):
        _run(calls, stock, desk, monkeypatch)


def _run(calls: list[list[str]], stock: Stock, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i, words in enumerate(calls):
        if words[0] == "cd":
            os.chdir(words[1])
        elif words == ["pip", "install", "-e", "."]:
            in_sight(Path.cwd(), desk / "site", monkeypatch)
        elif words[0] == "kdcli" and not_run(words) is None:
            kept = "--out" in words or any(names(later, made) for later in calls[i + 1 :] for made in made_by([words]))
            asked = shortened(words[1:], kept=kept)
            with ExitStack() as stack:
                if asked[:2] == ["weights", "pull"]:
                    file = stock.put(asked[2], desk / "served" / "net", functools.partial(checkpoint, asked[2]))
                    stack.enter_context(served(asked[2], file))
                told = call(*asked)
            assert told.exit_code == 0, f"kdcli {' '.join(asked)}\n{told.output}\n{told.exception!r}"


def names(words: list[str], made: str) -> bool:
    """Whether a command names what another one made."""
    return re.search(rf"(?<![\w/-]){re.escape(made)}(?![\w-])", " ".join(words)) is not None


def test_every_reason_is_still_one() -> None:
    lines = [" ".join(words) for block in BLOCKS for words in block.calls()]
    for beginning, why in REASONS.items():
        assert why and any(line.startswith(beginning) for line in lines), f"no line begins with '{beginning}' now"
