"""The form of a network for inference alone: what only training needs folded away, with the same numbers.

Re-parameterisable networks train with several branches side by side, each with its norm, and run with one convolution
for all of them. Which form a network has, and how it gets there, is its own affair: the network, or any module inside
of it, has a method ``deployed()`` (see ``kdcli.protocols.DepthModel``). Here it is looked for and called.
"""

from __future__ import annotations

import copy

from torch import nn

from kdcli.errors import PluginError


def deployed(model: nn.Module) -> nn.Module:
    """Return a network in the form for inference alone, in eval mode; itself where nothing in it has another form.

    The network that is given stays as it is. A module that has such a form speaks for all that is inside of it.

    Raises:
        PluginError: what a module gave is no module.
    """
    if not any(_has_form(module) for module in model.modules()):
        return model
    copied = copy.deepcopy(model).eval()
    if _has_form(copied):
        return _form_of(copied)
    _replace(copied)
    return copied


def _replace(parent: nn.Module) -> None:
    for name, child in list(parent.named_children()):
        if _has_form(child):
            setattr(parent, name, _form_of(child))
        else:
            _replace(child)


def _has_form(module: nn.Module) -> bool:
    """Whether a module has the method; a layer or a number of that name is something else."""
    return callable(getattr(type(module), "deployed", None))


def _form_of(module: nn.Module) -> nn.Module:
    made = module.deployed()  # type: ignore[operator]
    if not isinstance(made, nn.Module):
        raise PluginError(f"{type(module).__name__}.deployed() gives {type(made).__name__}, no module; "
                          "report it to its author")
    return made.eval()
