"""From a model to a graph: the part that all formats built on ``torch.export`` share."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.exporters.inputs import TakesBytes, example, input_of
from kdcli.types import Prediction
from kdcli.uncertainty import WHO, spread_of


class DepthOnly(nn.Module):
    """A model as exported: image B x 3 x H x W in 0..1 in, float32 depth B x 1 x h x w out.

    The model normalises and resizes inside its own ``forward``, so that all of that is in the graph.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """Return the depth of the prediction."""
        return self.model(image).depth.float()  # type: ignore[no-any-return]


class WithSpread(nn.Module):
    """A model of which an exporter is to write how sure it is, too: ``Prediction`` with ``std`` and ``entropy``.

    Exporters read ``outputs``; one that does not know it writes the depth alone, which the parity gate notices.
    """

    outputs = ("depth", "std", "entropy")

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Prediction:
        """Return depth, deviation and entropy (as a share of ln K), without the distribution.

        Raises:
            ConfigError: the model has no distribution.
        """
        said: Prediction = self.model(image)
        spread = spread_of(said)
        if spread is None or spread.entropy is None:
            raise ConfigError(f"this model gives no distribution over depth; {WHO}, or leave out --uncertainty")
        return replace(said, probs=None, centers=None, std=spread.std, entropy=spread.entropy)


class _Several(nn.Module):
    """A model as exported with more than depth: its outputs in order, float32."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs."""
        said = self.model(image)
        return tuple(getattr(said, name).float() for name in outputs_of(self.model))


def outputs_of(model: nn.Module) -> tuple[str, ...]:
    """Return the names of what is to be exported of a model, depth first."""
    inner = model.model if isinstance(model, TakesBytes) else model
    return inner.outputs if isinstance(inner, WithSpread) else ("depth",)


class _Clamp6(nn.Module):
    """What ``nn.ReLU6`` computes, as one operator: as ReLU6 it is taken apart in Python, which doubles an export."""

    def forward(self, feature: Tensor) -> Tensor:
        """Clamp to 0..6."""
        return torch.clamp(feature, 0.0, 6.0)


def called(model: nn.Module) -> str:
    """Return the name of a model's class, whatever it is wrapped in for its export."""
    while isinstance(model, TakesBytes | WithSpread):
        model = model.model
    return type(model).__name__


def network_of(model: nn.Module) -> nn.Module:
    """Return a copy of a model as it is exported: a tensor, or several, instead of a ``Prediction``; on the CPU."""
    copied = copy.deepcopy(model).cpu().float()
    inner: nn.Module = DepthOnly(copied) if outputs_of(model) == ("depth",) else _Several(copied)
    network = inner.eval().requires_grad_(False)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.ReLU6:
                setattr(parent, name, _Clamp6())
    return network


def trace(model: nn.Module, size: tuple[int, int], *, dynamic: bool) -> torch.export.ExportedProgram:
    """Trace a copy of a model on the CPU in eval mode.

    The batch is dynamic where the network allows it, otherwise fixed to one.

    Args:
        model: gives a ``Prediction``; is not changed.
        size: of the example image, and of every image when not dynamic.
        dynamic: height and width are left open.

    Raises:
        ConfigError: the network cannot be traced like that.
    """
    network, taken = network_of(model), input_of(model)
    auto: Any = torch.export.Dim.DYNAMIC  # raises where the network would fix the dimension
    sides = (2, 3) if taken == "float" else (1, 2)
    height_width = dict.fromkeys(sides, auto) if dynamic else {}
    failure: Exception | None = None
    for batch, open_batch in ((2, {0: auto}), (1, {})):
        try:
            with torch.no_grad(), silence():
                return torch.export.export(
                    network, (example(taken, batch, size),), dynamic_shapes={"image": {**open_batch, **height_width}}
                )
        except Exception as error:  # a network can fail here in any way its own code can
            failure = failure or error
    text = next((line.strip() for line in str(failure).splitlines() if line.strip()), type(failure).__name__)
    what = "with dynamic height and width; give --size HxW" if dynamic else f"at {size[0]}x{size[1]}; try another size"
    raise ConfigError(f"{called(model)} cannot be exported {what} ({text[:160]})") from failure


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep what exporters print, log and warn off the streams; errors still pass."""
    disabled = logging.root.manager.disable
    quiet = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)
