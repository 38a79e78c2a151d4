"""Batches copied to a GPU while it still works on the one before."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kdcli.types import Batch


def copier(device: torch.device) -> Callable[[Batch], Batch]:
    """Return what moves batches of the host to a device.

    On CUDA the host has given the device the last step by then and waits for nothing: a batch is copied from pinned
    memory on a stream of its own, beside that step, and the stream that computes waits for the copy.
    """
    if device.type != "cuda":
        return lambda batch: batch.to(device)
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def copied(batch: Batch) -> Batch:
        with torch.cuda.stream(beside):
            moved = batch.to(device, non_blocking=True)
        here = torch.cuda.current_stream(device)
        here.wait_stream(beside)

        def marked(tensor: Tensor) -> Tensor:
            # The allocator may give memory of one stream anew while another still reads it, unless it is told.
            tensor.record_stream(here)
            return tensor

        return moved.map_tensors(marked)

    return copied
