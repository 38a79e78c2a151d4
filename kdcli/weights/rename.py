"""Bring a checkpoint's names to a network's own: a table of beginnings, every tensor used exactly once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdcli.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

Rule = tuple[str, str]
"""A regular expression that matches the beginning of a name, and what stands there afterwards (``\\1`` for groups)."""


def rename(
    state: Mapping[str, Tensor], rules: Sequence[Rule], origin: Path | str, *, network: str, advice: str
) -> dict[str, Tensor]:
    """Return the tensors under new names; for each name the first rule that matches its beginning applies.

    Args:
        state: tensors by their old names.
        rules: beginnings to replace; a name that none matches is foreign. ``("", "")`` at the end keeps the rest.
        origin: where the tensors are from, for the message.
        network: whose tensors they should be, for the message.
        advice: what to give instead, for the message.

    Raises:
        WeightsError: a foreign name, or two names that mean the same tensor.
    """
    compiled = [(re.compile(pattern), name) for pattern, name in rules]
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        hits = ((pattern.match(key), name) for pattern, name in compiled)
        found = next(((match, name) for match, name in hits if match is not None), None)
        if found is None:
            raise WeightsError(f"'{origin}' has a tensor that {network} does not have: {key}; {advice}")
        match, name = found
        new = match.expand(name) + key[match.end():]
        if new in renamed:
            raise WeightsError(f"'{origin}' holds one tensor of {network} under two names: {key}; {advice}")
        renamed[new] = tensor
    return renamed
