"""Unpickle without making anybody's objects: every class and function is a stand-in that only remembers.

A pickle is a program for a small machine. It reaches the world outside in one way: it names a class or function, and
the machine imports and calls it. Here every name, whatever it is, gives a fresh subclass of ``Inert``, so nothing is
imported and a call only keeps its arguments. There is no list of harmless names: none is needed, since what the
stand-ins remember is enough to find the tensors (``kdcli.weights.modules``).

What the machine may use is bounded too. The unpickler is Python's own in Python, not the one in C: that one reserves
memory for any number under which a file says that it remembers something, and hashes keys however deep they nest.
"""

from __future__ import annotations

import copyreg
import pickle
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any, ClassVar

from kdcli.weights.bounded import Bounded

PLAIN = frozenset({
    "collections.OrderedDict", "collections.defaultdict", "collections.Counter", "_codecs.encode",
    "torch.Size", "torch.device", "torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer",
    "torch.autograd.variable.Variable", "torch.serialization._get_layout", "torch.storage.UntypedStorage",
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in
      ("dict", "list", "tuple", "set", "frozenset", "int", "float", "bool", "str", "bytes", "bytearray", "complex",
       "slice", "range")),
})
"""Names without which tensors and plain containers cannot be pickled."""

_TORCH = re.compile(r"torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2|torch(\.cuda)?\.\w+Storage|"
                    r"torch\.(u?int\d+|b?float\d+\w*|half|bool|complex\d+|quint8|qint\d+)")
"""The same of torch: what makes tensors of storages, storages, and dtypes."""


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


class InertUnpickler(pickle._Unpickler):
    """Unpickles one object after another from a stream; ``stored`` fills with the storages that they refer to."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    """What each instruction does; some of them are bounded below."""

    def __init__(self, stream: IO[bytes]) -> None:
        # latin1 reads what Python 2 wrote: its strings were bytes.
        super().__init__(Bounded(stream), encoding="latin1", errors="strict")
        self.stored: dict[str, Stored] = {}
        self._classes: dict[tuple[str, str], type[Inert]] = {}
        # A pickle may also name a class by number. Numbers that somebody registered still go through find_class, but
        # only if this process has not seen them before.
        copyreg.clear_extension_cache()

    @property
    def foreign(self) -> list[str]:
        """The names that were asked for and are neither torch's for tensors nor plain containers, in order."""
        origins = (made.origin for made in self._classes.values())
        return [origin for origin in origins if origin not in PLAIN and not _TORCH.fullmatch(origin)]

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


def plain_key(key: Any) -> bool:
    """Whether something may be the key of a dictionary: hashing tuples in tuples without end would end the process."""
    return not isinstance(key, tuple | frozenset) or not any(isinstance(part, tuple | frozenset) for part in key)


def _checked(name: str, keys: Callable[[list[Any]], list[Any]]) -> Callable[[Any], None]:
    """Return what an instruction does, after a look at the keys among what it takes from the stack."""
    usual: Callable[[Any], None] = getattr(pickle._Unpickler, name)

    def act(self: Any) -> None:
        if not all(map(plain_key, keys(self.stack))):
            raise pickle.UnpicklingError("keys in keys")
        usual(self)

    return act


def _no_frame(self: Any) -> None:
    """Pass over the length of a frame: frames only tell how far to read ahead."""
    self.read(8)


def _bytearray(self: Any) -> None:
    self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))


for _code, _act in (
    (pickle.SETITEM, _checked("load_setitem", lambda stack: stack[-2:-1])),
    (pickle.SETITEMS, _checked("load_setitems", lambda stack: stack[::2])),
    (pickle.DICT, _checked("load_dict", lambda stack: stack[::2])),
    (pickle.ADDITEMS, _checked("load_additems", lambda stack: stack)),
    (pickle.FROZENSET, _checked("load_frozenset", lambda stack: stack)),
    (pickle.FRAME, _no_frame),
    (pickle.BYTEARRAY8, _bytearray),
):
    InertUnpickler.dispatch[_code[0]] = _act
