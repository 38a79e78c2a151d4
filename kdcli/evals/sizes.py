"""At which size each model is shown the same images, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from kdcli.evals.batches import Prepared, seen_at
from kdcli.networks.shown_size import Asked, own_size, remark, shown_size

Size = tuple[int, int]


def rendered_at(models: Mapping[str, nn.Module], asked: Asked | None) -> Size | None:
    """Return the size at which a source that renders makes its images: one that holds for all models; None = its own.

    Models that answer from the data alone have none.
    """
    if isinstance(asked, tuple):
        return asked
    if asked != "own":
        return None
    looking = [m for m in models.values() if not hasattr(m, "from_batch") or getattr(m, "made_for", None) is not None]
    own = {own_size(model) for model in looking}
    return own.pop() if len(own) == 1 else None


def views(models: Mapping[str, nn.Module], prepared: Prepared, asked: Asked | None) -> Iterator[Prepared]:
    """Yield the batch as each model is shown it; models of one size share the images."""
    native = _size(prepared.batch.image)
    made: dict[Size | None, Prepared] = {}
    for model in models.values():
        size = shown_size(model, asked, native)
        if size not in made:
            made[size] = seen_at(prepared, size)
        yield made[size]


@dataclass(slots=True)
class Seen:
    """The sizes of images, and at which a model saw them."""

    _pairs: dict[tuple[Size, Size], None] = field(default_factory=dict)

    def add(self, image_B3HW: Tensor, shown_B3HW: Tensor) -> None:
        """Note a batch."""
        self._pairs[_size(image_B3HW), _size(shown_B3HW)] = None

    def take(self, other: Seen) -> None:
        """Note what another process saw."""
        self._pairs |= other._pairs

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes that the model saw."""
        return tuple(dict.fromkeys(shown for _, shown in self._pairs))

    def size(self, model: nn.Module, asked: Asked | None) -> Size | None:
        """Return the one size that images were brought to before the model; None where they were shown as they are, or
        at several sizes."""
        if isinstance(asked, tuple):
            return asked
        return self.sizes[0] if _resized(model, asked) and len(self.sizes) == 1 else None

    def several(self, model: nn.Module, asked: Asked | None) -> tuple[Size, ...] | None:
        """Return the sizes that images were brought to where there are several, otherwise None."""
        return self.sizes if _resized(model, asked) and len(self.sizes) > 1 else None

    def notes(self, model: nn.Module, asked: Asked | None) -> tuple[str, ...]:
        """Return what the user should know of it; ``{}`` stands for the model's name."""
        said = remark(model, asked, self._pairs)
        return () if said is None else (said,)


def _resized(model: nn.Module, asked: Asked | None) -> bool:
    return asked == "own" and own_size(model) is not None


def _size(image: Tensor) -> Size:
    return int(image.shape[-2]), int(image.shape[-1])
