"""Batch norms of a frozen network, folded into the convolutions that they follow: the same numbers with less to do.

Which norm follows which convolution is seen, not read out of the code: the network is run once on images, and a norm
that is given the very tensor that a convolution gave belongs to it. Whoever folds a network compares the two afterwards
(a convolution whose result is used elsewhere too would show there); nothing here does.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils.weak import WeakIdKeyDictionary

from kdcli.networks.deployed import deployed
from kdcli.networks.norms import Norm

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
_PLAIN = (nn.Conv2d.forward, nn.ConvTranspose2d.forward, nn.BatchNorm2d.forward, Norm.forward)
"""What a layer may do; a class with a ``forward`` of its own may use its weights in another way, or no bias."""


def folded(model: nn.Module, image: Tensor) -> tuple[nn.Module, int]:
    """Return a copy of a network in eval mode with its norms folded away, and how many of them.

    It is the form for inference alone (``deployed``) to begin with. The network that is given stays as it is.

    Args:
        model: frozen, with running statistics.
        image: B x 3 x H x W in 0..1 on its device, by which norms and convolutions are brought together.
    """
    copied = copy.deepcopy(deployed(model)).eval().requires_grad_(False)
    pairs = _pairs(copied, image)
    for convolution, path in pairs:
        norm = copied.get_submodule(path)
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias,
            transpose=isinstance(convolution, nn.ConvTranspose2d),
        )
        parent, _, name = path.rpartition(".")
        setattr(copied.get_submodule(parent), name, _rest_of(norm))
    return copied.requires_grad_(False), len(pairs)


def _pairs(model: nn.Module, image: Tensor) -> list[tuple[nn.Conv2d | nn.ConvTranspose2d, str]]:
    """Return convolutions with the path of the norm behind each, those alone that run once."""
    gave = WeakIdKeyDictionary()
    ran: dict[nn.Module, int] = {}
    found: list[tuple[nn.Conv2d | nn.ConvTranspose2d, nn.Module]] = []

    def after(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        ran[module] = ran.get(module, 0) + 1
        if module in convolutions:
            gave[result] = module
        elif given and given[0] in gave:
            found.append((gave[given[0]], module))

    norms = {module: path for path, module in model.named_modules() if path and _folds(module)}
    convolutions = {
        module for module in model.modules() if isinstance(module, _CONVOLUTIONS) and type(module).forward in _PLAIN
    }
    handles = [module.register_forward_hook(after) for module in (*norms, *convolutions)]
    try:
        with torch.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    taken = [convolution for convolution, _ in found]
    return [
        (convolution, norms[norm]) for convolution, norm in found
        if ran[convolution] == ran[norm] == 1 and taken.count(convolution) == 1
        and not (isinstance(convolution, nn.ConvTranspose2d) and convolution.groups > 1)
    ]


def _folds(module: nn.Module) -> bool:
    """Whether a module is a batch norm with running statistics that does no more than that, or an activation after."""
    if not isinstance(module, nn.BatchNorm2d) or module.running_mean is None:
        return False
    return type(module).forward in _PLAIN or hasattr(module, "act")


def _rest_of(norm: nn.Module) -> nn.Module:
    """Return what stays of a norm: the dropout and activation of timm's, else nothing."""
    rest = [part for name in ("drop", "act") if isinstance(part := getattr(norm, name, None), nn.Module)]
    return nn.Sequential(*rest) if rest else nn.Identity()
