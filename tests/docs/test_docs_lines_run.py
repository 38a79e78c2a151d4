"""Every kdcli line of README and docs runs as it stands, on a desk with small stand-ins for what it names."""

from __future__ import annotations

import functools
import os
import re
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import Block, blocks, is_whole, within_sentences
from doc_hub import served
from doc_install import in_sight
from doc_rules import REASONS, REPEATING, not_run, shortened
from doc_runs import call
from doc_stock import Stock, absolute, made_by
from random_weights import checkpoint

_ALL = [
    block for block in (*blocks("console", "bash"), *filter(is_whole, within_sentences()))
    if any(words[0] == "kdcli" for words in block.calls())
]
_ELSEWHERE = {tuple(words) for block in _ALL if block.page.name not in REPEATING for words in block.calls()}


def is_repeated(block: Block) -> bool:
    """Whether a block of a page that repeats others has no line of its own."""
    return block.page.name in REPEATING and all(tuple(words) in _ELSEWHERE for words in block.calls())


def chained(of: list[Block]) -> list[Block]:
    """Return blocks with those of a tutorial as one, since its later lines use what its earlier ones made."""
    walked = [block for block in of if block.page.parent.name == "tutorials" and block.language != "sentence"]
    pages = [list(some) for _, some in groupby(walked, key=lambda block: block.page)]
    whole = [replace(some[0], text="\n".join(block.text for block in some)) for some in pages]
    return [*(block for block in of if block not in walked), *whole]


BLOCKS = chained([block for block in _ALL if not is_repeated(block)])
COSTLY = re.compile(r"\b(adabins|bts|depthformer|study|recipe tie-kd|pruned|bench|int8)\b")
"""Words of commands that evaluate a large network, or several, or write files of them."""


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
