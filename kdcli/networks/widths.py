"""A network with the widths of a file: layers take the shapes of the tensors that they are to be filled with.

Nothing but shapes is looked at, so that a pruned student opens without the package that pruned it, and to the same
layers wherever that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Shape = Sequence[int]


def narrow(network: nn.Module, shapes: Mapping[str, Shape]) -> None:
    """Give a network's layers the shapes of a file, in place; their numbers are zero where shapes differ.

    Raises:
        ValueError: shapes that no cutting of channels gives; the message is half a sentence.
    """
    for path, module in network.named_modules():
        before = f"{path}." if path else ""
        changed = {
            name: tuple(shapes[before + name]) for name, tensor in _own(module).items()
            if before + name in shapes and tuple(shapes[before + name]) != tuple(tensor.shape)
        }
        if not changed:
            continue
        for name, shape in changed.items():
            if wrong := _misfit(tuple(_own(module)[name].shape), shape):
                raise ValueError(f"{(before + name)[:80]} is {list(shape)}, {wrong}")
        old = int(module.groups) if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) else 1
        depthwise = old > 1 and old in (module.in_channels, module.out_channels)
        for name, shape in changed.items():
            _replace(module, name, shape)
        _settle(module, depthwise)
    settle_blocks(network)


def settle_blocks(network: nn.Module) -> None:
    """Let the blocks of timm that fold their branches (MobileOne) know the groups of their convolutions again."""
    for module in network.modules():
        branches = getattr(module, "conv_kxk", None)
        if isinstance(branches, nn.ModuleList) and isinstance(getattr(module, "groups", None), int):
            module.groups = int(branches[0].conv.groups)  # type: ignore[union-attr,arg-type,assignment]


def _own(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}


def _misfit(whole: Shape, shape: Shape) -> str | None:
    if len(shape) != len(whole):
        return f"but the layer has {len(whole)} dimensions"
    if tuple(shape[2:]) != tuple(whole[2:]):
        return f"but the kernel is {list(whole[2:])}"
    if not all(1 <= mine <= most for mine, most in zip(shape, whole, strict=True)):
        return f"but the whole network has {list(whole)}"
    return None


def _replace(module: nn.Module, name: str, shape: Shape) -> None:
    old = _own(module)[name]
    made = torch.zeros(tuple(shape), dtype=old.dtype, device=old.device)
    if isinstance(old, nn.Parameter):
        setattr(module, name, nn.Parameter(made, requires_grad=old.requires_grad))
    else:
        setattr(module, name, made)


def _settle(module: nn.Module, depthwise: bool) -> None:
    """Let a layer's own numbers of channels follow from its weights.

    Raises:
        ValueError: there is no such layer.
    """
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        assert isinstance(weight, Tensor)
        first, second = weight.shape[:2]
        transposed = isinstance(module, nn.ConvTranspose2d)
        if depthwise:
            module.groups = first // max(module.out_channels // max(module.in_channels, 1), 1)
        if module.groups < 1 or first % module.groups:
            raise ValueError(f"a convolution has {first} channels in {module.groups} groups")
        one, other = first, second * module.groups
        module.in_channels, module.out_channels = (one, other) if transposed else (other, one)
    elif isinstance(module, nn.Linear):
        assert isinstance(weight, Tensor)
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, nn.modules.batchnorm._BatchNorm):
        module.num_features = len(weight) if isinstance(weight, Tensor) else len(module.running_mean)  # type: ignore[arg-type]
    elif isinstance(module, nn.GroupNorm):
        assert isinstance(weight, Tensor)
        module.num_channels = len(weight)
        if module.num_channels % module.num_groups:
            raise ValueError(f"a norm has {len(weight)} channels in {module.num_groups} groups")
    elif isinstance(module, nn.LayerNorm):
        assert isinstance(weight, Tensor)
        module.normalized_shape = tuple(weight.shape)
    elif isinstance(module, nn.PReLU):
        assert isinstance(weight, Tensor)
        module.num_parameters = len(weight)
