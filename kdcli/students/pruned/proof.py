"""Prove a cut: the narrower network gives what the whole one gives where nobody reads the channels that are gone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from kdcli.students.pruned.channels import ChannelSet

TOLERANCE = 1e-3
"""Largest difference over the largest depth."""


def silenced(network: nn.Module, sets: Sequence[ChannelSet], cut: Mapping[str, Sequence[int]]) -> nn.Module:
    """Return a copy of a network in which no layer reads the channels that are to be cut."""
    made = copy.deepcopy(network)
    for one in sets:
        gone = frozenset(cut.get(one.root, ()))
        for side in one.sides if gone else ():
            layer = made.get_submodule(side.layer)
            if side.out or not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                continue
            places = [place for place, root in zip(side.places, side.roots, strict=True) if root in gone]
            with torch.no_grad():
                _silence(layer, places)
    return made


def _silence(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, places: Sequence[int]) -> None:
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    if isinstance(layer, nn.ConvTranspose2d):
        layer.weight[list(places)] = 0
        return
    filters, reads = len(layer.weight) // groups, layer.weight.shape[1]
    for place in places:
        first = place // reads * filters
        layer.weight[first : first + filters, place % reads] = 0


def differs(whole: Tensor, narrow: Tensor) -> str | None:
    """Return how depth of a narrower network differs from what it has to be, as half a sentence; None where it fits."""
    if whole.shape != narrow.shape:
        return f"a map of {tuple(narrow.shape)} for {tuple(whole.shape)}"
    gap = float((whole - narrow).abs().max() / whole.abs().max().clamp(min=1e-12))
    return None if gap <= TOLERANCE else f"depth that differs by {gap:.2g} of the largest"


def norms_over_channels(network: nn.Module, sets: Sequence[ChannelSet], cut: Mapping[str, Sequence[int]]) -> bool:
    """Whether a norm takes its mean over channels that are cut: what remains is normalised by another number then."""
    return any(
        isinstance(network.get_submodule(side.layer), nn.LayerNorm | nn.GroupNorm)
        for one in sets if cut.get(one.root) for side in one.sides
    )
