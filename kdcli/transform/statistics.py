"""How far a batch is from the feature statistics that a network remembers, or that were recorded of it.

For each batch norm the mean and biased variance of its *input* over batch and space are compared with the running
mean and variance (DeepInversion, Yin et al. 2020: plain L2 norms over channels, summed over layers).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.transform.choice import chosen, weights_of

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
            "fitted to; use a teacher with batch norms, a file of recorded statistics (kdcli fit-transform --record), "
            "or --transform none"
        )
    return found


@dataclass(kw_only=True)
class Target:
    """What one place in a network should look like: per-channel mean and variance of what passes there."""

    module: nn.Module
    mean: Callable[[torch.device], Tensor]
    """Of C channels, on the device of the features."""
    variance: Callable[[torch.device], Tensor]
    eps: float
    output: bool
    """Whether what leaves the module is measured instead of what enters it."""


class Probe:
    """Measure places of a network while it runs; a context manager, so that no hook is left behind.

    ::

        with BatchNormProbe(teacher) as probe:
            teacher(image)
            loss = probe.loss()

    ``norm=l2``: per layer || mean - target mean || + || variance - target variance ||. A batch shifted by 1 in all C
    channels of a layer gives sqrt(C) there. ``norm=relative``: differences over the target's deviation and its
    variance, as root mean square over channels, so that all layers count alike; a shift by one deviation gives 1.
    ``layers`` are those that are measured (see ``choice``), ``weights`` multiplies some of them, ``first`` the one that
    runs first.
    """

    def __init__(
        self, targets: Mapping[str, Target], *, norm: Norm = "l2", layers: Sequence[str] = (),
        weights: Mapping[str, float] | None = None, first: float = 1.0,
    ) -> None:
        """Take the targets by name, in order.

        Raises:
            ConfigError: an unknown norm, or a layer or weight for one that is not there.
        """
        if norm not in ("l2", "relative"):
            raise ConfigError(f"feature statistics: norm '{norm}' is unknown; use l2 or relative")
        self.targets, self.norm, self.first = {n: targets[n] for n in chosen(list(targets), layers)}, norm, first
        self.weights = weights_of(list(self.targets), weights or {})
        self._seen: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        self._seen = {}
        for name, target in self.targets.items():
            if target.output:
                self._handles.append(target.module.register_forward_hook(self._after(name)))
            else:
                self._handles.append(target.module.register_forward_pre_hook(self._before(name)))
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
        """Return per layer the distance of means and of variances, unweighted scalars, in the order in which they ran.

        A layer that ran more than once is averaged; one that did not run is left out.

        Raises:
            ConfigError: no layer ran.
        """
        if not self._seen:
            raise ConfigError("feature statistics: none of the layers ran; call the network inside the probe")
        return {name: self._gap(self.targets[name], seen) for name, seen in self._seen.items()}

    def loss(self) -> Tensor:
        """Return the weighted sum over layers of both distances."""
        gaps = self.gaps()
        weights = self.applied()
        return torch.stack([weights[name] * (mean + variance) for name, (mean, variance) in gaps.items()]).sum()

    def applied(self) -> dict[str, float]:
        """Return the weight of each layer that ran, with ``first`` in that of the one that ran first."""
        return {
            name: self.weights[name] * (self.first if place == 0 else 1.0) for place, name in enumerate(self._seen)
        }

    def _before(self, name: str) -> Any:
        def measure(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._seen.setdefault(name, []).append(moments(inputs[0]))

        return measure

    def _after(self, name: str) -> Any:
        def measure(module: nn.Module, inputs: Any, output: Any) -> None:
            self._seen.setdefault(name, []).append(moments(feature_of(output)))

        return measure

    def _gap(self, target: Target, seen: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        means, variances = [], []
        for mean, variance in seen:
            wanted = target.variance(mean.device).to(mean.dtype)
            off_mean = mean - target.mean(mean.device).to(mean.dtype)
            off_variance = variance - wanted
            if self.norm == "relative":
                scale = wanted + target.eps
                size = off_mean.numel() ** 0.5
                off_mean, off_variance = off_mean / scale.sqrt() / size, off_variance / scale / size
            means.append(torch.linalg.vector_norm(off_mean))
            variances.append(torch.linalg.vector_norm(off_variance))
        return torch.stack(means).mean(), torch.stack(variances).mean()


class BatchNormProbe(Probe):
    """A probe whose targets are the running statistics of a network's own batch norms, against what enters them."""

    def __init__(
        self, model: nn.Module, *, norm: Norm = "l2", layers: Sequence[str] = (),
        weights: Mapping[str, float] | None = None, first: float = 1.0,
    ) -> None:
        """Find the batch norms.

        Raises:
            ConfigError: there is none, an unknown norm, or a layer or weight for one that is not there.
        """
        super().__init__(
            {name: _of_batch_norm(module) for name, module in batch_norms(model).items()},
            norm=norm, layers=layers, weights=weights, first=first,
        )


def _of_batch_norm(module: Any) -> Target:
    return Target(
        module=module, mean=lambda _: module.running_mean, variance=lambda _: module.running_var, eps=module.eps,
        output=False,
    )


def feature_of(output: Any) -> Tensor:
    """Return what a module gives as a feature: the first of several tensors.

    Raises:
        ConfigError: it gives no B x C x h x w.
    """
    feature = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(feature, Tensor) or feature.dim() != 4:
        raise ConfigError("feature statistics: a tap gives no B x C x h x w feature; leave it out")
    return feature


def moments(feature: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance per channel over batch and space, of B x C x h x w, in at least float32."""
    with torch.autocast(feature.device.type, enabled=False):
        values = feature.float() if feature.dtype in (torch.float16, torch.bfloat16) else feature
        variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
    return mean, variance
