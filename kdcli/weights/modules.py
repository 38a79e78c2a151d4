"""Find the tensors in an unpickled document of stand-ins: state dicts, and whole modules saved as objects."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kdcli.errors import WeightsError
from kdcli.weights.inert import Inert, plain_key
from kdcli.weights.torch_file import is_odd, is_tensor
from kdcli.weights.wrappers import COPY, is_network, networks_of, rank, without_counters

_DEEPEST = 100
"""Levels of modules in modules."""

_MOST = 100_000
"""Modules of a file, each counted as often as it is reached."""

_NAMES = 1_000_000
"""Tensors of a network, each counted under all its names."""

_SHOWN = 80
"""Letters of a name in a file that a message shows."""

_LEVELS = 3
"""Keys in keys under which a network may lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Tensors by name, still as stand-ins, and what they were part of."""

    key: str
    """Where in the document: ``model``; empty for the document itself."""
    kind: str
    """Class of the module; empty for a state dict."""
    tensors: Mapping[str, Any]
    parameters: frozenset[str] | None
    """Which of them are parameters, each under one name only; None where the file does not tell."""
    odd: str | None = None
    """Name of a tensor beside them that cannot be read: sparse, quantised."""

    def __str__(self) -> str:
        """Return its key and class, for messages."""
        where = f"'{self.key[:_SHOWN]}'" if self.key else "the whole file"
        return f"{where} ({self.kind[:_SHOWN]})" if self.kind else where


def find(document: Any) -> list[Found]:
    """Return the sets of tensors in a document, the one to take first; empty where there is none.

    What lies under a usual key comes first, then what has most tensors.

    Raises:
        WeightsError: modules that hold one another in a circle, or a parameter that is no plain tensor.
    """
    return in_order(_search(document, "", _LEVELS, set()))


def in_order(parts: Iterable[Found]) -> list[Found]:
    """Return parts with the one to take first; of several networks in one set of names, each is a part."""
    each = [single for part in parts for single in _apart(part)]
    return sorted(each, key=lambda part: (min(rank(part.key), COPY), -len(part.tensors)))


def _apart(part: Found) -> Iterator[Found]:
    tensors = without_counters(part.tensors)
    networks = {} if part.kind else networks_of(tensors)
    for name, own in networks.items():
        yield Found(key=f"{part.key}.{name}" if part.key else name, kind="", tensors=own, parameters=None, odd=part.odd)
    if not networks:
        yield replace(part, tensors=tensors)


def _search(document: Any, key: str, levels: int, seen: set[int]) -> Iterator[Found]:
    if isinstance(document, dict | Inert):
        if id(document) in seen:
            return
        seen.add(id(document))
    if _is_module(document):
        tensors, parameters = _of_module(document)
        if tensors:
            yield Found(key=key, kind=document.origin, tensors=tensors, parameters=frozenset(parameters))
        return
    mapping = as_mapping(document)
    if "param_groups" in mapping and "state" in mapping:
        return  # an optimiser's, under whatever key
    if tensors := {str(name): value for name, value in mapping.items() if is_tensor(value)}:
        odd = next((str(name) for name, value in mapping.items() if is_odd(value)), None)
        yield Found(key=key, kind="", tensors=tensors, parameters=None, odd=odd)
    if levels:
        for name, value in mapping.items():
            if is_network(str(name)):
                yield from _search(value, f"{key}.{name}" if key else str(name), levels - 1, seen)


def readable(part: Found) -> Mapping[str, Inert]:
    """Return the tensors of a part as stand-ins.

    Raises:
        WeightsError: one beside them is no plain tensor, and would be missing.
    """
    if part.odd is not None:
        raise WeightsError(f"its {part.odd[:_SHOWN]} is no plain tensor (sparse, quantised?) and is not read")
    return part.tensors


def as_mapping(document: Any) -> Mapping[Any, Any]:
    """Return the entries of a dictionary, or of a stand-in for one of any class; empty for everything else."""
    match document:
        case dict():
            return document
        case Inert(pairs=dict() as pairs) if pairs:
            return pairs
        case Inert(origin="collections.OrderedDict", args=(list() as rows, *_)):
            if not all(isinstance(row, list | tuple) and len(row) == 2 and plain_key(row[0]) for row in rows):
                raise pickle.UnpicklingError("an ordered dictionary of something other than pairs")
            document.pairs = dict(rows)  # as Python 2 wrote it
            return document.pairs
    return {}


def _is_module(document: Any) -> bool:
    return isinstance(document, Inert) and {"_parameters", "_modules"} <= as_mapping(document.state).keys()


def _of_module(module: Inert) -> tuple[dict[str, Inert], set[str]]:
    """Return what the module's ``state_dict()`` would hold, in its order, and which of it are parameters."""
    tensors: dict[str, Inert] = {}
    parameters: dict[int, str] = {}
    seen = 0
    for prefix, state in _walk(module):
        passing = _members(state.get("_non_persistent_buffers_set"))
        for slot in ("_parameters", "_buffers"):
            named = as_mapping(state.get(slot))
            seen += len(named) + len(passing)
            if seen > _NAMES:
                raise WeightsError(f"its modules have more than {_NAMES:,} tensors")
            for name, value in named.items():
                if value is None or (slot == "_buffers" and name in passing):
                    continue
                if not is_tensor(value):
                    sort = getattr(value, "origin", type(value).__name__)
                    raise WeightsError(f"its {prefix}{name} is no plain tensor ({sort}) and cannot be converted")
                tensors[f"{prefix}{name}"] = value
                if slot == "_parameters":
                    parameters.setdefault(id(value), f"{prefix}{name}")
    return tensors, set(parameters.values())


def _walk(module: Inert) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield the beginning of the names and the state of a module and of all below it, each before its children."""
    pending: list[tuple[str, Any, int]] = [("", module, 0)]
    reached = 0
    while pending:
        prefix, current, depth = pending.pop()
        reached += 1
        if depth > _DEEPEST or reached > _MOST:
            raise WeightsError("its modules hold one another without end")
        state = as_mapping(current.state)
        yield prefix, state
        children = [
            (f"{prefix}{name}.", child, depth + 1)
            for name, child in as_mapping(state.get("_modules")).items()
            if _is_module(child)
        ]
        pending.extend(reversed(children))


def _members(names: Any) -> frozenset[Any]:
    """Return the members of a set, or of the stand-in for one."""
    if isinstance(names, Inert):
        names = [*names.items, *(names.args[0] if names.args and isinstance(names.args[0], list) else ())]
    return frozenset(name for name in names or () if isinstance(name, str))
