"""Several sets in one evaluation, each with its protocol: what the field's zero-shot tables are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from torch import nn

from kdcli.errors import ConfigError
from kdcli.evals.protocol import PROTOCOLS
from kdcli.evals.results import Result, compare
from kdcli.evals.stored.model import is_stored
from kdcli.sources.sets.marigold_table import ZERO_SHOT
from kdcli.spec import parse
from kdcli.text import counted

PLACE = "{set}"
"""What stands for a set's name in the folder of predictions."""

_NAMED = re.compile(r"([A-Za-z0-9][\w .+-]*)=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSet:
    """Images to measure on: the name that tables give them, the spec, the source, and the protocol's name."""

    name: str
    spec: str
    source: Any
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetResults:
    """What was found on one set, a result for each model in their order."""

    set: EvalSet
    results: Sequence[Result]

    def documents(self) -> list[dict[str, Any]]:
        """Return a document for each model with the name of the set and the comparisons with the others."""
        return [
            {
                "set": self.set.name, **one.document(),
                "paired": {two.model: compare(one, two).document() for two in self.results if two is not one},
            }
            for one in self.results
        ]


def open_sets(
    data: Sequence[str], protocols: Sequence[str], load: Callable[[str], Any], usual: Callable[[Any], str],
    alone: str = "plain",
) -> list[EvalSet]:
    """Return the sets that ``--data`` and ``--protocol`` name.

    data: specs, each may have a name in front: ``NYU=nyu:/data/nyu``; ``marigold:DIR,set=all`` is five of them.
    protocols: none, one for all, or one each; of a family such as ``zipdepth`` each set has its own. load: makes a
    source. usual: the protocol of one of several sources where none is named. alone: that of a single one.

    Raises:
        ConfigError: a number of protocols that fits nothing, or a set that is named twice.
    """
    given = [one for text in data for one in _expanded(*_parted(text))]
    if len(protocols) not in (0, 1, len(given)):
        raise ConfigError(
            f"{len(protocols)} protocols for {counted(len(given), 'set')}; give --protocol once for all, or once for "
            "each"
        )
    if not protocols and len(given) == 1:
        protocols = [alone]
    names = _names(given)
    sources = [load(spec) for _, spec in given]
    each: list[str | None] = [None] * len(given) if not protocols else list(protocols)
    each = each * len(given) if len(each) < len(given) else each
    chosen = [
        _protocol(spec, source, asked, usual)
        for (_, spec), source, asked in zip(given, sources, each, strict=True)
    ]
    return [
        EvalSet(name=name, spec=spec, source=source, protocol=protocol)
        for name, (_, spec), source, protocol in zip(names, given, sources, chosen, strict=True)
    ]


def models_for(
    networks: Mapping[str, nn.Module | None], name: str, load: Callable[[str], nn.Module]
) -> dict[str, nn.Module]:
    """Return the models for a set; folders of predictions with ``{set}`` in their name are those of this set."""
    return {
        text: load(text.replace(PLACE, name)) if model is None else model for text, model in networks.items()
    }


def of_each_set(text: str) -> bool:
    """Whether a MODEL is a folder of predictions of each set."""
    return is_stored(text) and PLACE in text


def _parted(text: str) -> tuple[str | None, str]:
    """Return name and spec of ``NAME=SPEC``; a spec alone has its colon or comma before any ``=``."""
    match = _NAMED.fullmatch(text)
    return (match[1].strip(), match[2]) if match else (None, text)


def _expanded(name: str | None, spec: str) -> list[tuple[str | None, str]]:
    """Return the sets that one spec means."""
    known = parse(spec)
    if known.name != "marigold" or known.options.get("set") != "all":
        return [(name, spec)]
    begin = "" if name is None else f"{name} "
    specs = [str(replace(known, options={**known.options, "set": one})) for one in ZERO_SHOT]
    return [(begin + one if begin else None, spec) for one, spec in zip(ZERO_SHOT, specs, strict=True)]


def _protocol(spec: str, source: Any, asked: str | None, usual: Callable[[Any], str]) -> str:
    """Return the protocol of a set. Of a family it is the set's own: ``zipdepth`` is ``zipdepth-nyu`` for ``nyu:DIR``
    and for what has ``set=nyu``."""
    known = parse(spec)
    asked = usual(source) if asked is None else asked
    base, plus, rest = asked.partition("+")
    own = f"{base}-{known.options.get('set') or known.name}"
    return own + plus + rest if base not in PROTOCOLS and own in PROTOCOLS else asked


def _names(given: Sequence[tuple[str | None, str]]) -> list[str]:
    """Return a name for each set that no other has: its own, that of its source, of its file, or the whole spec."""
    specs = [parse(spec) for _, spec in given]
    if len({spec for _, spec in given}) < len(given):
        twice = next(spec for i, (_, spec) in enumerate(given) if spec in [one for _, one in given[:i]])
        raise ConfigError(f"--data {twice} is given twice; give each set once")
    files = [PurePath(spec.location).stem if spec.location else spec.name for spec in specs]
    ways = (
        [spec.options.get("set") or spec.name for spec in specs],
        files,
        [f"{spec.name}:{file}" for spec, file in zip(specs, files, strict=True)],
        [spec for _, spec in given],
    )
    for way in ways:
        names = [name or other for (name, _), other in zip(given, way, strict=True)]
        if len(set(names)) == len(names):
            return names
    raise ConfigError(f"two sets are called '{max(names, key=names.count)}'; give each a name of its own: NAME=SPEC")
