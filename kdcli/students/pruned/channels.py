"""Which channels of a network hang together, and how much each counts: both by the package torch-pruning.

A channel that a convolution gives is one that norms scale, additions pair with a channel of another layer, and later
convolutions read: it is cut everywhere or nowhere. torch-pruning (arXiv 2301.12900) finds these sets in the graph that
a backward pass would walk.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kdcli.errors import ConfigError
from kdcli.types import Prediction

Criterion = Literal["l2", "random"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The channels of one layer that belong to a set, on the side where it gives (``out``) or reads them.

    places: their places in the layer. roots: the channel of the set that each is.
    """

    layer: str
    out: bool
    places: tuple[int, ...]
    roots: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSet:
    """Channels of several layers that are cut together.

    root: the layer whose places number them. importance: of each, C. parts: equal parts that have to lose alike,
    since a grouped convolution has one filter for each.
    """

    root: str
    importance: Tensor
    parts: int
    sides: tuple[Side, ...]


class Channels:
    """The sets of a network, and the cutting itself."""

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        """Trace a network once, in eval mode.

        Raises:
            ConfigError: torch-pruning is not installed, or cannot follow the network.
        """
        self._package = _package()
        self._names = {module: name for name, module in network.named_modules()}
        self._modules = dict(network.named_modules())
        with warnings.catch_warnings(), torch.enable_grad(), _AlongChannels():
            warnings.simplefilter("ignore")  # parameters that are no layer's are followed all the same
            self._graph = self._package.DependencyGraph().build_dependency(
                network, example_inputs=image, forward_fn=_outputs, verbose=False
            )

    def sets(self, by: Criterion) -> list[ChannelSet]:
        """Return the sets that may be cut, without those that the network's prediction is made of.

        by: ``l2``: the mean over a set's layers of the squared weights of a channel; ``random``: drawn.
        """
        importance = (
            self._package.importance.GroupMagnitudeImportance(p=2) if by == "l2"
            else self._package.importance.RandomImportance()
        )
        return list(self._sets(importance))

    def _sets(self, importance: Any) -> Iterator[ChannelSet]:
        for group in self._graph.get_all_groups():
            kinds = [dep.target.type for dep, _ in group]
            if self._package.ops.OPTYPE.OUTPUT in kinds:  # bins, a mask for enlarging: their number has a meaning
                continue
            sides = tuple(self._sides(group))
            root = group[0].dep.target.module
            count, parts = self._graph.get_out_channels(root), self._parts(sides)
            if count % parts or not all(self._fits(side, count) for side in sides):
                continue  # what the graph does not tell right stays whole
            found = importance(group)
            if found is not None and len(found) == count:
                yield ChannelSet(root=self._names[root], importance=found.double(), parts=parts, sides=sides)

    def _sides(self, group: Any) -> Iterator[Side]:
        for item in group:
            dep, places = item.dep, item.idxs
            if dep.target.module in self._names:
                yield Side(
                    layer=self._names[dep.target.module], out=self._graph.is_out_channel_pruning_fn(dep.handler),
                    places=tuple(places), roots=tuple(-1 if root is None else root for root in item.root_idxs),
                )

    def _parts(self, sides: Sequence[Side]) -> int:
        grouped = [module.groups for side in sides if isinstance(module := self._modules[side.layer], nn.Conv2d)
                   and module.groups not in (module.in_channels, module.out_channels)]
        grouped += [module.num_groups for side in sides
                    if isinstance(module := self._modules[side.layer], nn.GroupNorm)]
        return max(grouped, default=1)

    def _fits(self, side: Side, count: int) -> bool:
        module = self._modules[side.layer]
        there = self._graph.get_out_channels(module) if side.out else self._graph.get_in_channels(module)
        if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels != module.out_channels:
            return False  # several filters for each channel: which ones go with it is not told
        inside = all(0 <= root < count for root in side.roots)
        return inside and (there is None or max(side.places, default=0) < there)

    def cut(self, found: Mapping[str, Sequence[int]]) -> None:
        """Cut channels of sets, by the sets' roots, out of the network that was traced."""
        for root, places in found.items():
            module = self._modules[root]
            pruner = self._graph.get_pruner_of_module(module)
            self._graph.get_pruning_group(module, pruner.prune_out_channels, list(places)).prune()


def _package() -> Any:
    try:
        return importlib.import_module("torch_pruning")
    except ImportError as error:
        raise ConfigError(
            "pruning a student needs the package torch-pruning, which is not installed; run: pip install "
            "'kdcli[pruning]'"
        ) from error


def _outputs(network: nn.Module, image: Tensor) -> list[Tensor]:
    """Return all that a prediction is made of, each as the result of an operation of its own, which ends the graph."""
    said: Prediction = network(image)
    found = [said.depth, said.probs, said.std, *said.aux, *said.branches]
    return [one * 1.0 for one in found if one is not None and one.requires_grad]


_JOINS = (torch.cat, torch.concat)
_SHAPES = (Tensor.view, Tensor.reshape, torch.reshape, Tensor.unflatten, Tensor.flatten, torch.flatten)
_PRODUCTS = (torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__)


class _AlongChannels(TorchFunctionMode):
    """Show operations that the package misreads as what they are for channels; some it would follow without end.

    It takes every joining for one of channels, also that along height or width; pixels in a row, and parts of channels
    in a dimension of their own, for channels after channels. Numbers are of no account here, only what depends on what.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        made = func(*args, **given)
        if func in _JOINS and made.dim() == 4:
            tensors = list(args[0] if args else given["tensors"])
            if int(given.get("dim", args[1] if len(args) > 1 else 0)) % 4 > 1:
                return made.detach() + sum(one.mean(dim=(2, 3), keepdim=True) for one in tensors)
        if func in _SHAPES and args[0].dim() == 4:
            if made.dim() > 4:
                return made.detach() + args[0].mean()
            if made.dim() == 3 and made.shape[1] == args[0].shape[1]:
                return made.detach() + args[0].mean(dim=(2, 3)).unsqueeze(-1)
        if func in _PRODUCTS and made.dim() == 3:
            return made.detach() + args[0].mean(dim=2, keepdim=True) + args[1].mean(dim=1, keepdim=True)
        return made
