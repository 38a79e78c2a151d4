"""What the published networks share: a checkpoint in its authors' layout, its origin and terms, a size that fits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from kdcli.errors import SpecError, WeightsError
from kdcli.files import sha256_of
from kdcli.protocols import API_VERSION
from kdcli.types import DepthKind, MadeFor, Pretrained, Provenance, ReadOut, Tap
from kdcli.weights import Entry, Weights, entry_of, load_into, locate, parted, read_weights

B = TypeVar("B", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A file of weights as its authors wrote it, unwrapped: their names, without ``module.`` before them."""

    path: Path
    state: Mapping[str, Tensor]


class Published(nn.Module):
    """Base of the published networks, which are students and teachers alike.

    A subclass takes ``location``, the checkpoint (``FILE#PART`` for one network of several in it), as its first
    argument and the variant as keywords. Its constructor reads the checkpoint (``self.checkpoint(location)``), builds
    ``self.network`` within ``drawing(checkpoint)``, fills it (``self.fill(checkpoint, convert)``) and sets
    ``depth_range``, ``taps`` and ``architecture``. ``forward`` gives the network's own output resolution; ``read_out``
    says how the authors go on from there.
    """

    api_version: ClassVar[int] = API_VERSION
    title: ClassVar[str]
    """What messages and cards call it, for example ``BTS``."""
    licence: ClassVar[str]
    """Of the authors' code; a known file of weights may have terms of its own."""
    reference: ClassVar[str]
    """Paper and repository."""

    depth_kind: DepthKind = DepthKind.METRIC
    depth_range: tuple[float, float]
    taps: Mapping[str, Tap]
    read_out: ReadOut
    architecture: str
    network: nn.Module
    made_for: MadeFor | None = None
    """Of its weights; None where it is to learn."""

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name, in ``kdcli weights list``, of the weights that a teacher of these options looks for."""
        raise LookupError(f"{cls.__name__} knows no weights by name")

    def checkpoint(self, location: str | None) -> Checkpoint | None:
        """Read the checkpoint at a location and note where it comes from; None for a network that is to learn.

        Raises:
            WeightsError: there is none, or it cannot be read.
        """
        if location is None:
            return None
        file, part = parted(location)
        path = locate(file)
        read = read_weights(path, part)
        self.provenance = _provenance(self, path, entry_of(path), read)
        return Checkpoint(path=path, state=read.state)

    def fill(self, checkpoint: Checkpoint | None, state: Mapping[str, Tensor] | None = None) -> None:
        """Fill ``self.network`` with a checkpoint, strictly; ``state`` is the checkpoint under this network's names.

        Raises:
            WeightsError: it does not fit; the message tells the difference.
        """
        if checkpoint is not None:
            given = checkpoint.state if state is None else state
            load_into(self.network, {k: v.float() if v.is_floating_point() else v for k, v in given.items()},
                      checkpoint.path)


def _provenance(model: Published, path: Path, known: Entry | None, read: Weights) -> Provenance:
    return Provenance(
        name=model.title, weights=str(path), sha256=sha256_of(path),
        licence=known.licence if known else model.licence,
        training_data=known.training_data if known else "unknown",
        notes="; ".join(filter(None, (model.reference, read.note))),
    )


def backbone_of(read: Checkpoint | None, asked: B | None, marks: Mapping[B, str], title: str) -> B:
    """Return the backbone that a checkpoint holds; without one what was asked for, or else the first that there is.

    Args:
        read: the checkpoint.
        asked: the backbone that the user named.
        marks: backbone -> a tensor that only its checkpoints have.
        title: whose backbones they are, for the message.

    Raises:
        WeightsError: the checkpoint holds none of them, or another one than was asked for.
    """
    if read is None:
        return asked or next(iter(marks))
    held = next((backbone for backbone, name in marks.items() if name in read.state), None)
    if held is None:
        raise WeightsError(
            f"'{read.path}' is no checkpoint of {title}: none of {', '.join(marks.values())} is in it; "
            "give one in its authors' layout"
        )
    if asked not in (None, held):
        raise WeightsError(f"'{read.path}' holds {title} on {held}, not on {asked}; leave out backbone={asked}")
    return held


def encoder_start(pretrained: Pretrained, read: Checkpoint | None) -> Pretrained:
    """Return how the encoder of a network begins; one that is filled from a checkpoint needs no weights of its own.

    Raises:
        SpecError: pretrained weights are asked for beside a checkpoint, which would replace them.
    """
    if read is None:
        return pretrained
    if pretrained is True:
        raise SpecError(
            f"pretrained=true beside '{read.path}' would be without effect: the file fills the encoder too; leave one "
            "of the two out"
        )
    return False


def check_farthest(max_depth: float) -> float:
    """Return a greatest depth in metres that is one.

    Raises:
        SpecError: it is not positive and finite.
    """
    if not 0 < max_depth < math.inf:
        raise SpecError(f"max_depth={max_depth:g} is no depth; use 10 for indoor weights, 80 for driving")
    return max_depth


@contextmanager
def drawing(checkpoint: Checkpoint | None) -> Iterator[None]:
    """Draw initial weights inside the block only where no checkpoint replaces them: millions of numbers take seconds.

    Buffers that a network computes (index tables, positions) are computed either way.
    """
    if checkpoint is None:
        yield
    else:
        with undrawn():
            yield


def undrawn() -> TorchFunctionMode:
    """Return a block in which no initial weights are drawn, for networks that are filled or only looked at."""
    return _NoDraws()


class _NoDraws(TorchFunctionMode):
    """Leave tensors as they are, or zero, instead of drawing them."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        tensor = args[0] if args else given.get("tensor")
        if isinstance(tensor, Tensor):
            if getattr(func, "__module__", "") == "torch.nn.init":
                return tensor
            if getattr(func, "__name__", "") in _DRAWS:
                # Not left as they are: a truncated draw is repeated until every number lies within its bounds.
                return tensor.zero_()
        return func(*args, **given)


_DRAWS = frozenset({"uniform_", "normal_"})


def to_multiple(image: Tensor, step: int) -> Tensor:
    """Return the image at the nearest height and width that are multiples of ``step``; itself where they are already.

    Networks that halve and double need such sizes; their output has the size that they saw.
    """
    height, width = image.shape[-2], image.shape[-1]
    size = (max((height + step // 2) // step, 1) * step, max((width + step // 2) // step, 1) * step)
    # An exporter must see no question about sizes that it leaves open; resizing to the same size changes nothing.
    if not torch.compiler.is_exporting() and size == (height, width):
        return image
    return functional.interpolate(image, size=size, mode="bilinear", align_corners=False)


def resize_corners(feature: Tensor, size: Sequence[int]) -> Tensor:
    """Resize bilinearly with corner pixels aligned, as the decoders of the time did."""
    return functional.interpolate(feature, size=(size[0], size[1]), mode="bilinear", align_corners=True)
