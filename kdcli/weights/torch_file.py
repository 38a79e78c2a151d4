"""What ``torch.save`` wrote, read with stand-ins: the pickled document, and the bytes of its tensors on demand."""

from __future__ import annotations

import math
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.errors import WeightsError
from kdcli.weights.inert import Inert, Stored
from kdcli.weights.layouts import dtype_of, open_old, open_zip
from kdcli.weights.sort import broken

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_REPEATED = 1 << 26
"""Bytes that tensors may have beyond those stored, by repeating them: buffers that were expanded."""

_NAMES = 4
"""How many times its own size the tensors of a file may take, under all their names."""

_DIMENSIONS = 64
"""Most that torch knows."""

_TENSORS = frozenset(f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3"))
"""What makes a tensor of a storage, an offset, a size and strides."""

_PARAMETERS = frozenset({
    "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state", "torch.nn.parameter.Parameter",
    "torch.autograd.variable.Variable",
})
"""What makes a parameter of a tensor, its first argument."""


class TorchFile(AbstractContextManager["TorchFile"]):
    """An open file of ``torch.save``: ``document`` is what was saved, made of stand-ins; ``tensors`` reads tensors."""

    document: Any
    foreign: Sequence[str]
    """Names of classes and functions in the document that are neither torch's for tensors nor plain containers."""

    def __init__(self, path: Path) -> None:
        """Open a file and unpickle its document.

        Raises:
            WeightsError: not of torch.save, or written on a machine of the other byte order.
            Exception: of any kind, where the file is damaged.
        """
        self._stack = ExitStack()
        with self._stack:
            with path.open("rb") as stream:
                zipped = stream.read(2) == b"PK"
            if zipped:
                opened = open_zip(self._stack.enter_context(zipfile.ZipFile(path)), path)
            else:
                opened = open_old(self._stack.enter_context(path.open("rb")), path)
            self._stack = self._stack.pop_all()
        self.document, self.foreign, self._bytes = opened
        self._size = path.stat().st_size
        self._raw: dict[str, bytearray] = {}

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tensors(self, pickled: Mapping[str, Inert]) -> dict[str, Tensor]:
        """Return the tensors that stand-ins describe (those for which ``is_tensor`` holds), on the CPU.

        Raises:
            WeightsError: of a sort that cannot be read.
            Exception: of any kind, where the file is damaged.
        """
        made: dict[str, Tensor] = {}
        total = 0
        for name, value in pickled.items():
            made[name] = self._tensor(value)
            # Whoever copies them makes room for all of it: a few names for one tensor are usual, thousands are not.
            total += made[name].numel() * made[name].element_size()
            if total > _REPEATED + _NAMES * self._size:
                raise pickle.UnpicklingError(f"tensors of more than {total} bytes in a file of {self._size}")
        return made

    def _tensor(self, pickled: Inert) -> Tensor:
        described = _unwrapped(pickled)
        stored, offset, size, stride, *_ = described.args
        if not isinstance(stored, Stored):
            raise pickle.UnpicklingError("a tensor without a storage")
        if not all(isinstance(part, tuple) and len(part) <= _DIMENSIONS for part in (size, stride)):
            raise pickle.UnpicklingError("a tensor without a shape")
        if not all(isinstance(n, int) and abs(n) < 1 << 62 for n in (*size, *stride, offset)):
            raise pickle.UnpicklingError("a shape of something other than numbers")
        # Since torch 2.1 the newest dtypes have untyped storages and name their dtype beside it.
        dtype = described.args[6] if described.origin.endswith("_v3") else stored.kind
        base = self._storage(stored, dtype_of(dtype))
        if math.prod(size) > base.numel() and math.prod(size) * base.element_size() > _REPEATED:
            raise pickle.UnpicklingError(f"a tensor of {math.prod(size)} numbers in a storage of {base.numel()}")
        return base.as_strided(size, stride, stored.offset + offset)

    def _storage(self, stored: Stored, dtype: torch.dtype) -> Tensor:
        import torch

        if stored.key not in self._raw:
            self._raw[stored.key] = self._bytes(stored.key)
        raw = self._raw[stored.key]
        return torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)


@contextmanager
def opened(path: Path) -> Iterator[TorchFile]:
    """Open a file of ``torch.save``, and turn whatever goes wrong inside the block into one line.

    Raises:
        WeightsError: the file is damaged.
    """
    try:
        with TorchFile(path) as file:
            yield file
    except WeightsError as error:
        text = str(error)
        raise WeightsError(text if text.startswith(f"'{path}'") else f"'{path}' cannot be read: {text}") from None
    except (OSError, MemoryError):  # of the disk and of the machine, not of the file
        raise
    except Exception as error:  # a pickle that was damaged, or made to do damage, can fail in any way
        raise broken(path, error) from error


def is_tensor(pickled: Any) -> bool:
    """Whether a stand-in describes a tensor or parameter."""
    return isinstance(pickled, Inert) and _unwrapped(pickled).origin in _TENSORS


def is_odd(pickled: Any) -> bool:
    """Whether a stand-in describes a tensor that is not read: sparse, quantised and the like."""
    return isinstance(pickled, Inert) and not is_tensor(pickled) and "._rebuild_" in _unwrapped(pickled).origin


def _unwrapped(pickled: Inert) -> Inert:
    """Return the stand-in of the tensor that a parameter or a tensor of a derived class is made of."""
    for _ in range(8):  # two are usual; a file could nest them without end
        match pickled:
            case Inert(args=(Inert() as inner, *_)) if pickled.origin in _PARAMETERS:
                pickled = inner
            case Inert(origin="torch._tensor._rebuild_from_type_v2", args=(made, _, tuple() as given, *_)) if (
                isinstance(made, type) and issubclass(made, Inert)
            ):
                pickled = made(*given)
            case _:
                break
    return pickled
