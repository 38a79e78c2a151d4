"""Texts that are much alike, such as the lines of a list: compressed in blocks, some ten bytes each."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import overload

_BLOCK = 128
"""Texts that are compressed together: the more, the smaller, and the longer it takes to come to one of them."""
_LEVEL = 1
"""The fastest; higher ones save a tenth."""


class PackedTexts(Sequence[str]):
    """Texts that never change. One of them costs the unpacking of its block, some hundredths of a millisecond, the next
    ones of that block nothing."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._blocks: list[bytes] = []
        self._count = 0
        coming = iter(texts)
        while some := list(islice(coming, _BLOCK)):
            self._count += len(some)
            self._blocks.append(zlib.compress(json.dumps(some).encode(), _LEVEL))
        self._last: tuple[int, list[str]] = (-1, [])

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(self._count)[index]]
        block, at = divmod(range(self._count)[index], _BLOCK)
        known, texts = self._last  # one assignment, so that threads read a block and its number together
        if known != block:
            texts = json.loads(zlib.decompress(self._blocks[block]))
            self._last = block, texts
        return texts[at]
