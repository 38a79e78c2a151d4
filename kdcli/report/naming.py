"""Short names for models on a page: what tells them apart, not whole paths and specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from kdcli.evals.results import Result

T = TypeVar("T")


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return a short name for each: without options, folders as their last part, wherever no two become one."""
    for shorten in (_last, _plain):
        made = {name: shorten(name) for name in names}
        if len(set(made.values())) == len(made):
            return made
    return {name: name for name in names}


def renamed(results: Sequence[Result], names: Mapping[str, str]) -> list[Result]:
    """Return results under other names."""
    return [
        result if names[result.model] == result.model else replace(result, model=names[result.model])
        for result in results
    ]


def keyed(models: Mapping[str, T], names: Mapping[str, str]) -> dict[str, T]:
    """Return a mapping by model under other names."""
    return {names[name]: one for name, one in models.items()}


def _plain(name: str) -> str:
    """Return a spec without its options; what is made of several in brackets stays."""
    return name if "[" in name else name.partition(",")[0]


def _last(name: str) -> str:
    kind, colon, location = _plain(name).rpartition(":")
    parts = [part for part in location.split("/") if part]
    return kind + colon + (parts[-1] if parts and "[" not in name else location)
