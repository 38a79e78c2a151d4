"""A frozen network whose parameters are shared out among the processes of a run, for one that does not fit a card.

PyTorch's ``fully_shard`` (FSDP2; Zhao et al. 2023, arXiv 2304.11277): each process keeps its part of every parameter,
and the parts of a block are put together while that block runs. Whoever runs the network has to do so in all processes
at the same time.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.many.group import Group

LARGEST = 1 / 4
SMALLEST = 1 / 200
"""Shares of the parameters that a block has: more are not put together at once where that can be avoided, and for less
a message does not pay."""
_shared_out: weakref.WeakSet[nn.Module] = weakref.WeakSet()


def share_out(model: nn.Module, called: str, group: Group, device: torch.device) -> nn.Module:
    """Share out the parameters of a network that lies in main memory, in place; it becomes frozen and is evaluated.

    Block by block goes to the device, which so never holds all of it. Buffers, such as running statistics, stay whole
    in each process, and so do single numbers.

    Args:
        model: its parameters, and its buffers, are the same in all processes.
        called: how messages name it.
        group: whose processes take part.
        device: of this process.

    Raises:
        ConfigError: it has no parameters of PyTorch, as a network in a file that another runtime runs.
    """
    if not any(True for _ in model.parameters()):
        raise ConfigError(
            f"shard_teacher=true: teacher '{called}' has no parameters of PyTorch to share out, as a network "
            "in a file that another runtime runs; leave shard_teacher out"
        )
    from torch.distributed.device_mesh import init_device_mesh  # only here, since it takes a while
    from torch.distributed.fsdp import fully_shard

    model.requires_grad_(False).eval()
    whole = {parameter for parameter in model.parameters() if parameter.ndim == 0}
    for parameter in model.parameters():
        parameter.data = parameter.data.to(device) if parameter in whole else parameter.data.contiguous()
    mesh = init_device_mesh(device.type, (group.size,))
    for block in (*blocks(model), model):
        fully_shard(block, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
    _shared_out.add(model)
    model.register_forward_pre_hook(_refuse_gradient)
    return model.to(device)


def _refuse_gradient(model: nn.Module, given: tuple[Any, ...]) -> None:
    """Refuse to go back through a network: what was put together for a block is gone by then.

    PyTorch would put it together once more, but only where a module gives tensors, and no prediction is one.
    """
    if torch.is_grad_enabled() and any(isinstance(one, Tensor) and one.requires_grad for one in given):
        raise ConfigError(
            "shard_teacher=true is for teachers that are only asked, and here something takes a gradient through one "
            "towards its images (transform=joint, a generator, a loss that asks for it); leave shard_teacher out"
        )


def blocks(model: nn.Module) -> list[nn.Module]:
    """Return the parts of a network that are put together one at a time: members of its lists, neither large nor small.

    Lists are what networks keep their repeated blocks in. A member is passed by whose parameters another part has too.
    """
    total = sum(parameter.numel() for parameter in model.parameters())
    users = Counter(
        id(parameter) for module in model.modules() for parameter in module.parameters(recurse=False)
    )

    def found(module: nn.Module) -> Iterator[nn.Module]:
        for child in module.children():
            parameters = list(child.parameters())
            own = Counter(id(one) for part in child.modules() for one in part.parameters(recurse=False))
            alone = all(users[name] == count for name, count in own.items())
            size = sum(parameter.numel() for parameter in parameters)
            called = isinstance(module, nn.Sequential | nn.ModuleList) and type(child).forward is not nn.Module.forward
            if called and alone and total * SMALLEST <= size <= total * LARGEST:
                yield child
            else:
                yield from found(child)

    return list(found(model))


def is_shared_out(model: nn.Module) -> bool:
    """Whether all processes have to run a network together."""
    return model in _shared_out


def here(tensor: Tensor) -> Tensor:
    """Return what this process holds of a tensor: its part of one that is shared out, else all of it."""
    local = getattr(tensor, "to_local", None)
    return tensor if local is None else local()


def bytes_here(model: nn.Module) -> tuple[int, int]:
    """Return the bytes of parameters, and of buffers, that this process holds."""
    kept = [here(parameter) for parameter in model.parameters()]
    return sum(one.nbytes for one in kept), sum(one.nbytes for one in model.buffers())
