"""Proof that a frozen network stays as it is, at no cost while it works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from kdcli.errors import PluginError

Mark = tuple[Tensor, int, int]
"""A tensor, where its numbers lie, and how often they were written."""


@contextmanager
def untouched(models: Mapping[str, nn.Module]) -> Iterator[None]:
    """Refuse afterwards that the block wrote into a parameter or a kept buffer of frozen models, or replaced one.

    Torch counts for each tensor how often something is written into it; the counts before and after are compared, no
    number is read, so that nothing is copied and no device waits. Caches that a state dict leaves out may change.

    Raises:
        PluginError: a model changed; the message names it and the tensor.
    """
    before = {name: marks_of(model) for name, model in models.items()}
    yield
    for name, model in models.items():
        changed = changes(before[name], marks_of(model))
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise PluginError(
                f"teacher '{name}' changed while it taught: '{changed[0]}'{more} was written to; a teacher must leave "
                "its weights and running statistics alone, report it to its author"
            )


def marks_of(model: nn.Module) -> dict[str, Mark]:
    """Return a mark of every parameter and kept buffer; unequal marks mean that it was written to or replaced."""
    kept: dict[str, Tensor] = dict(model.named_parameters())
    for path, module in model.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                kept[f"{path}.{name}".lstrip(".")] = buffer
    # Tensors of inference mode keep no count.
    return {n: (t, t.data_ptr(), 0 if t.is_inference() else t._version) for n, t in kept.items()}


def changes(before: Mapping[str, Mark], after: Mapping[str, Mark]) -> list[str]:
    """Return the names of what differs, in order."""
    names = [*before, *(name for name in after if name not in before)]
    return [name for name in names if not _same(before.get(name), after.get(name))]


def _same(one: Mark | None, two: Mark | None) -> bool:
    return one is not None and two is not None and one[0] is two[0] and one[1:] == two[1:]
