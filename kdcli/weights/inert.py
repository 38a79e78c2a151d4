"""Unpickle without making anybody's objects: every class and function is a stand-in that only remembers.

A pickle is a program for a small machine. It reaches the world outside in one way: it names a class or function, and
the machine imports and calls it. Here every name, whatever it is, gives a fresh subclass of ``Inert``, so nothing is
imported and a call only keeps its arguments. There is no list of harmless names: none is needed, since what the
stand-ins remember is enough to find the tensors (``kdcli.weights.modules``).
"""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any, ClassVar


class Inert:
    """An object of any class: keeps what it is called with, given as state, or filled with."""

    origin: ClassVar[str] = ""
    """Module and name of what it stands for, for example ``models.FCRN``."""

    args: tuple[Any, ...]
    state: Any
    pairs: dict[Any, Any]
    items: list[Any]

    def __new__(cls, *args: Any, **_: Any) -> Inert:
        """Make one; all ways in which a pickle makes objects end here."""
        self = object.__new__(cls)
        self.args, self.state, self.pairs, self.items = args, None, {}, []
        return self

    def __init__(self, *_: Any, **__: Any) -> None:
        """Accept any arguments; ``__new__`` has kept them."""

    def __setstate__(self, state: Any) -> None:
        """Keep the state; without this method it would become attributes."""
        self.state = state

    def __call__(self, *args: Any, **_: Any) -> Inert:
        """Return another stand-in: the result of a call of something unknown."""
        return Inert(*args)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.pairs[key] = value

    def append(self, item: Any) -> None:
        """Keep an item of a list or set."""
        self.items.append(item)

    add = append

    def extend(self, items: Iterable[Any]) -> None:
        """Keep items of a list."""
        self.items.extend(items)


@dataclass(frozen=True, slots=True)
class Stored:
    """A storage that a pickle of torch refers to by key; its bytes lie beside the pickle."""

    key: str
    kind: str
    """Name of the storage class: ``FloatStorage``."""
    numel: int
    offset: int = 0
    """Where it begins in the storage of that key, in elements: not 0 for views in old files."""


class InertUnpickler(pickle.Unpickler):
    """Unpickles one object after another from a stream; ``stored`` fills with the storages that they refer to."""

    def __init__(self, stream: IO[bytes]) -> None:
        # latin1 reads what Python 2 wrote: its strings were bytes.
        super().__init__(stream, encoding="latin1", errors="strict")
        self.stored: dict[str, Stored] = {}
        self._classes: dict[tuple[str, str], type[Inert]] = {}
        # A pickle may also name a class by number. Numbers that somebody registered still go through find_class, but
        # only if this process has not seen them before.
        copyreg.clear_extension_cache()

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in; the inherited method, which imports, is never called."""
        return self._classes.setdefault((module, name), type("Inert", (Inert,), {"origin": f"{module}.{name}"}))

    def persistent_load(self, pid: Any) -> Any:
        """Return a reference to a storage; of a class with its source, as old files have it, the class."""
        match pid:
            case ("module", known, *_):
                return known
            case ("storage", kind, str() | int() as key, _, int(numel), *view):
                # A storage on another device (``cuda:0``) is read like one on the CPU.
                whole = Stored(str(key), str(getattr(kind, "origin", "")).rpartition(".")[2], numel)
                self.stored.setdefault(whole.key, whole)
                match view:
                    case [(_, int(offset), int(length))]:
                        return Stored(whole.key, whole.kind, length, offset)
                return whole
        raise pickle.UnpicklingError("refers to something other than a storage")
