"""What a model costs: its parameters, and the multiply-adds of one image.

Counted in the form that is exported (``kdcli.networks.deployed``), as PyTorch runs it, by PyTorch's own counter:
convolutions and matrix products, attention included. What else a network does (norms, activations, resizing) is not in
it. A module whose numbers or work lie elsewhere says so by two
optional members: ``outside_parameters``, how many it holds outside of PyTorch (None where that is not known), and
``outside_work = True`` where PyTorch does not do its arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from kdcli.networks.deployed import deployed


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Parameters of a model, and multiply-adds of one image without its mirror image; None where that cannot be told.

    size: height and width of the image that they were counted for, as it came to the model.
    """

    parameters: int | None = None
    multiply_adds: int | None = None
    size: tuple[int, int] | None = None

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "multiply_adds_at": None if self.size is None else list(self.size),
        }


def cost_of(
    model: nn.Module, run: Callable[[nn.Module], object] | None = None, size: tuple[int, int] | None = None
) -> Cost:
    """Return what a model costs.

    run: shows one image to the model, or to its exported form, without gradient; None = only parameters are counted.
    size: of that image, unless ``forward`` is seen to be given another.
    """
    form = form_of(model)
    parameters = parameters_of(form)
    if run is None or parameters is None or any(getattr(one, "outside_work", False) for one in form.modules()):
        return Cost(parameters=parameters)
    seen: list[tuple[int, int]] = []
    hook = form.register_forward_pre_hook(lambda _, given: seen.append((given[0].shape[-2], given[0].shape[-1])))
    try:
        counted = _multiply_adds(lambda: run(form))
    except Exception:  # a model that was measured well: what the counter alone cannot follow costs no result
        counted = 0
    finally:
        hook.remove()
    if not counted:
        return Cost(parameters=parameters)
    return Cost(parameters=parameters, multiply_adds=counted, size=seen[0] if seen else size)


def parameters_of(model: nn.Module) -> int | None:
    """Return how many parameters a model has; None where that cannot be told, or it has none."""
    count = sum(parameter.numel() for parameter in model.parameters())
    for module in model.modules():
        outside = getattr(module, "outside_parameters", 0)
        if outside is None:
            return None
        count += outside
    return count or None


def form_of(model: nn.Module) -> nn.Module:
    """Return a model in the form that is exported; the model itself where it has none."""
    try:
        return deployed(model)
    except Exception:  # whether a network can be exported is not what was asked
        return model


def _multiply_adds(run: Callable[[], object]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with _plain_attention(), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops()) // 2


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let attention run as the matrix products that it is: the counter knows few of its fused kernels."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
