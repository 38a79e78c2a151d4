"""Find the tensors in an unpickled document of stand-ins: state dicts, and whole modules saved as objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kdcli.errors import WeightsError
from kdcli.weights.inert import Inert
from kdcli.weights.torch_file import is_tensor

_FIRST = ("model", "state_dict", "model_state_dict", "net")
"""Keys whose content is taken before any other's."""

_DEEPEST = 100
"""Levels of modules in modules."""

_MOST = 100_000
"""Modules of a file, each counted as often as it is reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Tensors by name, still as stand-ins, and what they were part of."""

    key: str
    """Where in the document: ``model``; empty for the document itself."""
    kind: str
    """Class of the module; empty for a state dict."""
    tensors: Mapping[str, Inert]
    parameters: frozenset[str] | None
    """Which of them are parameters, each under one name only; None where the file does not tell."""

    def __str__(self) -> str:
        """Return its key and class, for messages."""
        where = f"'{self.key}'" if self.key else "the whole file"
        return f"{where} ({self.kind})" if self.kind else where


def find(document: Any) -> list[Found]:
    """Return the sets of tensors in a document, the one to take first; empty where there is none.

    What lies under a usual key comes first, then what has most tensors.

    Raises:
        WeightsError: modules that hold one another in a circle, or a parameter that is no plain tensor.
    """
    found = list(_search(document, "", 2))
    ranks = {key: i for i, key in enumerate(_FIRST)}
    return sorted(found, key=lambda f: (ranks.get(f.key.split(".")[0], len(ranks)), -len(f.tensors)))


def _search(document: Any, key: str, levels: int) -> Iterator[Found]:
    if _is_module(document):
        tensors, parameters = _of_module(document)
        if tensors:
            yield Found(key=key, kind=document.origin, tensors=tensors, parameters=frozenset(parameters))
        return
    mapping = as_mapping(document)
    if tensors := {str(name): value for name, value in mapping.items() if is_tensor(value)}:
        yield Found(key=key, kind="", tensors=tensors, parameters=None)
    if levels:
        for name, value in mapping.items():
            yield from _search(value, f"{key}.{name}" if key else str(name), levels - 1)


def as_mapping(document: Any) -> Mapping[Any, Any]:
    """Return the entries of a dictionary, or of a stand-in for one of any class; empty for everything else."""
    match document:
        case dict():
            return document
        case Inert(pairs=dict() as pairs) if pairs:
            return pairs
        case Inert(origin="collections.OrderedDict", args=(list() as rows, *_)):
            return dict(rows)  # as Python 2 wrote it
    return {}


def _is_module(document: Any) -> bool:
    return isinstance(document, Inert) and {"_parameters", "_modules"} <= as_mapping(document.state).keys()


def _of_module(module: Inert) -> tuple[dict[str, Inert], set[str]]:
    """Return what the module's ``state_dict()`` would hold, in its order, and which of it are parameters."""
    tensors: dict[str, Inert] = {}
    parameters: dict[int, str] = {}
    for prefix, state in _walk(module):
        passing = _members(state.get("_non_persistent_buffers_set"))
        for slot in ("_parameters", "_buffers"):
            for name, value in as_mapping(state.get(slot)).items():
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
