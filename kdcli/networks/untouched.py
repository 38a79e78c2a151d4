"""Proof that a frozen network stays as it is, at no cost while it works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdcli.errors import PluginError
from kdcli.many.sharded import here

_WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@contextmanager
def untouched(models: Mapping[str, nn.Module]) -> Iterator[None]:
    """Refuse afterwards that the block changed a parameter or a kept buffer of frozen models, or replaced one.

    All tensors are looked at once before and once after, on their device. Caches that a state dict leaves out may
    change.

    Raises:
        PluginError: a model changed; the message names it and the tensor.
    """
    before = {name: Marks.of(model) for name, model in models.items()}
    yield
    for name, model in models.items():
        changed = before[name].differing(Marks.of(model))
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise PluginError(
                f"teacher '{name}' changed while it taught: '{changed[0]}'{more} was written to; a teacher must leave "
                "its weights and running statistics alone, report it to its author"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What tells whether the tensors of a network were written to.

    Torch counts the writes to each tensor, but not those of batch norms to their running statistics nor those through
    ``data``; so the sum of the bits of each tensor is compared as well.
    """

    tensors: Mapping[str, Tensor]
    writes: Mapping[str, int]
    sums: Tensor
    """Of int64, one for each tensor."""

    @classmethod
    @torch.no_grad()
    def of(cls, model: nn.Module) -> Marks:
        """Return the marks of all parameters and kept buffers."""
        kept: dict[str, Tensor] = dict(model.named_parameters())
        for path, module in model.named_modules():
            for name, buffer in module._buffers.items():
                if buffer is not None and name not in module._non_persistent_buffers_set:
                    kept[f"{path}.{name}".lstrip(".")] = buffer
        sums = [_bits(tensor) for tensor in kept.values()]
        return cls(
            tensors=kept,
            # Tensors of inference mode keep no count.
            writes={name: 0 if tensor.is_inference() else tensor._version for name, tensor in kept.items()},
            sums=torch.stack([value.to(sums[0].device) for value in sums]) if sums else torch.zeros(0),
        )

    def differing(self, after: Marks) -> list[str]:
        """Return the names of the tensors that are other ones, or were written to, in order."""
        names = [*self.tensors, *(name for name in after.tensors if name not in self.tensors)]
        first, second = (dict(zip(m.tensors, m.sums.tolist(), strict=True)) for m in (self, after))
        return [
            name for name in names
            if self.tensors.get(name) is not after.tensors.get(name) or self.writes[name] != after.writes[name]
            or first[name] != second[name]
        ]


def _bits(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor's bits, read as whole numbers; equal bits give equal sums."""
    return here(tensor.detach()).view(_WHOLE[tensor.element_size()]).sum(dtype=torch.int64)
