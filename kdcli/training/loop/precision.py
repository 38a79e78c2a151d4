"""How exactly a stage computes: TF32 on CUDA, and the factor on the loss that gradients in half precision need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

TF32 = Literal["auto", "on", "off"]


@contextmanager
def tf32(how: TF32, device: torch.device) -> Iterator[None]:
    """Let float32 products and convolutions on CUDA round what they multiply to TF32, or not, inside the block.

    ``auto`` leaves them as PyTorch has them: convolutions may, matrix products may not.
    """
    if how == "auto" or device.type != "cuda":
        yield
        return
    places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "tf32" if how == "on" else "ieee"
    try:
        yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision


def loss_scaler(amp: torch.dtype | None, device: torch.device) -> torch.amp.GradScaler:
    """Return what keeps small gradients in half precision from becoming zero; it does nothing in any other."""
    return torch.amp.GradScaler(device.type, enabled=amp is torch.float16)


def update(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    """Move parameters by unscaled gradients, unless one of them is not finite; then the factor becomes smaller."""
    if scaler.is_enabled() and all(p.grad is None for group in optimizer.param_groups for p in group["params"]):
        return  # nothing to learn from: the scaler would miss the gradients
    scaler.step(optimizer)
    scaler.update()
