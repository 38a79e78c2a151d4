"""Read weights: tensors only, of one network, and with errors that say what is wrong with the file.

Two formats are read, told apart by their first bytes and not by their name: safetensors, and what ``torch.save``
writes. The latter is a pickle; it is read with stand-ins (``kdcli.weights.inert``), so that nothing in it runs, and
refused all the same where it holds anything but tensors and plain containers: what that means, ``kdcli weights
convert`` asks and says.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.errors import WeightsError
from kdcli.files import openable
from kdcli.remarks import remark
from kdcli.weights.choice import asked_for, only_one, parted
from kdcli.weights.header import read_header
from kdcli.weights.inert import Inert
from kdcli.weights.modules import Found, as_mapping, find, in_order, readable
from kdcli.weights.sort import broken, sort_of
from kdcli.weights.torch_file import TorchFile, opened
from kdcli.weights.wrappers import UNKNOWN, rank, without_prefix

if TYPE_CHECKING:
    from torch import Tensor

_SHOWN = 4
"""How many keys an error names."""

_LONGEST = 80
"""Letters of a name in a file that an error shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weights of one network as a file holds them, and what was around them."""

    state: dict[str, Tensor]
    """Tensors by name, without what stands before every name."""
    part: str
    """Key under which they lie in the file: ``checkpoint.model``; empty for the whole file."""
    prefix: str
    """What stood before every name: ``module.``; empty for nothing."""

    @property
    def note(self) -> str:
        """One clause on what was taken and what was left off; empty for a file that holds the names as they are."""
        taken = f"taken from '{self.part[:_LONGEST]}'" if self.part else ""
        off = f"'{self.prefix[:_LONGEST]}' taken off every name" if self.prefix else ""
        return ", ".join(filter(None, (taken, off)))


def read_weights(path: Path | str, part: str | None = None) -> Weights:
    """Read the weights of one network from a file, on the CPU.

    Args:
        path: the file; ``FILE#PART`` names one network of several in it.
        part: the same, where the path does not say it.

    Raises:
        WeightsError: the file is missing, empty, a Git LFS pointer, cut short, of another format, holds Python objects,
            or several networks, of which none was asked for.
    """
    file, own = parted(path)
    path, part = Path(file), part or own
    if sort_of(path) == "safetensors":
        tensors = load_tensors(path)
        if not tensors:
            raise WeightsError(f"'{path}' holds no tensors by name (it holds: nothing); give a state dict")
        whole = in_order([Found(key="", kind="", tensors=tensors, parameters=None)])
        found = asked_for(whole, part, path) if part else only_one(whole, path)
        state: dict[str, Tensor] = dict(found.tensors)
    else:
        found, state = _unpickle(path, part)
    state, prefix = without_prefix(state)
    made = Weights(state=state, part=found.key, prefix=prefix)
    if made.note and (prefix or rank(found.key) == UNKNOWN or part):
        remark(f"{path.name}: {made.note}")
    return made


def load_state(path: Path | str, part: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of ``read_weights``, which tells what is read and how it fails."""
    return read_weights(path, part).state


def check_file(path: Path) -> None:
    """Look at a file that another reader is about to read: that it holds tensors only, each as large as it says.

    Raises:
        WeightsError: as ``load_state``, but for several networks in it.
    """
    if sort_of(path) == "safetensors":
        read_header(path)
        return
    with opened(path) as file:
        _only_tensors(file, path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file under the names that they have there, on the CPU: of files of our own.

    Raises:
        WeightsError: as ``load_state``, or of another format.
    """
    if sort_of(path) != "safetensors":
        raise WeightsError(f"'{path}' is a pickle and no safetensors file; give a file that kdcli wrote")
    read_header(path)
    from safetensors.torch import load_file

    try:
        with openable(path) as there:
            return load_file(there, device="cpu")
    except Exception as error:  # the reader's own error classes differ by version; all mean the same to the user
        raise broken(path, error) from error


def read_metadata(path: Path | str) -> dict[str, str]:
    """Return the metadata in the header of a safetensors file; empty for a file of ``torch.save``.

    Only the header is read, without torch.

    Raises:
        WeightsError: as ``load_state``.
    """
    path = Path(path)
    return read_header(path)[0] if sort_of(path) == "safetensors" else {}


def _unpickle(path: Path, part: str | None) -> tuple[Found, dict[str, Tensor]]:
    """Return the network of a file of ``torch.save`` that is meant, and its tensors."""
    with opened(path) as file:
        _only_tensors(file, path)
        parts = find(file.document)
        if not parts:
            held = as_mapping(file.document)
            keys = [str(key)[:_LONGEST] for key in list(held)[:_SHOWN]] if held else [_kind(file.document)]
            raise WeightsError(f"'{path}' holds no tensors by name (it holds: {', '.join(keys)}); give a state dict")
        found = asked_for(parts, part, path) if part else only_one(parts, path)
        return found, file.tensors(readable(found))


def _only_tensors(file: TorchFile, path: Path) -> None:
    if file.foreign:
        raise WeightsError(
            f"'{path}' holds Python objects ({file.foreign[0][:_LONGEST]}), not only tensors, and is not read "
            f"because that could run code; `kdcli weights convert {shlex.quote(str(path))}` takes out its tensors "
            "without running anything"
        )


def _kind(document: Any) -> str:
    if isinstance(document, Inert):
        return document.origin.rpartition(".")[2][:_LONGEST]
    return "nothing" if document == {} else type(document).__name__
