"""How far a batch is from the feature statistics that a network's batch norms remember.

For each batch norm the mean and biased variance of its *input* over batch and space are compared with the running
mean and variance (DeepInversion, Yin et al. 2020: plain L2 norms over channels, summed over layers).
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError

Norm = Literal["l2", "relative"]


def batch_norms(model: nn.Module) -> dict[str, nn.Module]:
    """Return the batch norms of a network that hold running statistics, by module path, in order.

    Raises:
        ConfigError: there is none.
    """
    found: dict[str, nn.Module] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)) and module.running_mean is not None
    }
    if not found:
        raise ConfigError(
            f"{type(model).__name__} has no batch norm with running statistics, which the transformation network is "
            "fitted to; use a teacher with batch norms, or --transform none"
        )
    return found


class BatchNormProbe:
    """Measure the batch norms of a network while it runs; a context manager, so that no hook is left behind.

    ::

        with BatchNormProbe(teacher) as probe:
            teacher(image)
            loss = probe.loss()

    ``norm=l2``: per layer || mean - running mean || + || variance - running variance ||. A batch shifted by 1 in all C
    channels of a layer gives sqrt(C) there. ``norm=relative``: differences over the running deviation and the running
    variance, as root mean square over channels, so that all layers count alike; a shift by one deviation gives 1.
    ``weights`` multiplies single layers, ``first`` the first one.
    """

    def __init__(
        self, model: nn.Module, *, norm: Norm = "l2", weights: dict[str, float] | None = None, first: float = 1.0
    ) -> None:
        if norm not in ("l2", "relative"):
            raise ConfigError(f"batch-norm statistics: norm '{norm}' is unknown; use l2 or relative")
        self.layers, self.norm = batch_norms(model), norm
        unknown = sorted(set(weights or {}) - set(self.layers))
        if unknown:
            raise ConfigError(f"batch-norm statistics: no layer '{unknown[0]}'; one is '{next(iter(self.layers))}'")
        self.weights = dict.fromkeys(self.layers, 1.0) | (weights or {})
        self.weights[next(iter(self.layers))] *= first
        self._seen: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> BatchNormProbe:
        self._seen = {}
        for name, module in self.layers.items():
            self._handles.append(module.register_forward_pre_hook(self._hook(name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def clear(self) -> None:
        """Forget what was measured, before the next forward pass."""
        self._seen = {}

    def gaps(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return per layer the distance of means and of variances, unweighted scalars.

        A layer that ran more than once is averaged; one that did not run is left out.

        Raises:
            ConfigError: no layer ran.
        """
        if not self._seen:
            raise ConfigError("batch-norm statistics: none of the batch norms ran; call the network inside the probe")
        return {name: self._gap(self.layers[name], seen) for name, seen in self._seen.items()}

    def loss(self) -> Tensor:
        """Return the weighted sum over layers of both distances."""
        parts = [self.weights[name] * (mean + variance) for name, (mean, variance) in self.gaps().items()]
        return torch.stack(parts).sum()

    def _hook(self, name: str) -> Any:
        def measure(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            values: Tensor = inputs[0]
            with torch.autocast(values.device.type, enabled=False):
                values = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
                variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
            self._seen.setdefault(name, []).append((mean, variance))

        return measure

    def _gap(self, module: Any, seen: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        means, variances = [], []
        for mean, variance in seen:
            off_mean = mean - module.running_mean.to(mean.dtype)
            off_variance = variance - module.running_var.to(mean.dtype)
            if self.norm == "relative":
                scale = module.running_var.to(mean.dtype) + module.eps
                size = off_mean.numel() ** 0.5
                off_mean, off_variance = off_mean / scale.sqrt() / size, off_variance / scale / size
            means.append(torch.linalg.vector_norm(off_mean))
            variances.append(torch.linalg.vector_norm(off_variance))
        return torch.stack(means).mean(), torch.stack(variances).mean()
