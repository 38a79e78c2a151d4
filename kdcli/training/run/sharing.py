"""Teachers that the processes of a run share out among themselves: when, where that cannot work, and what it saves."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from kdcli.config import RunConfig
from kdcli.errors import ConfigError
from kdcli.many.group import Group
from kdcli.many.sharded import bytes_here, is_shared_out, share_out

_MIB = 1 << 20


def shares(config: RunConfig, group: Group | None) -> bool:
    """Whether the teachers of a run are shared out; a process alone has all of them."""
    return group is not None and any(stage.shard_teacher for stage in config.stages)


def shared(teacher: nn.Module, spec: str, group: Group, device: torch.device) -> nn.Module:
    """Return a teacher whose parameters are shared out; one that answers from the data has none.

    Raises:
        ConfigError: it is in a file that another runtime runs.
    """
    if hasattr(teacher, "from_batch"):
        return teacher.to(device)
    return share_out(teacher, spec, group, device)


def check_sharing(config: RunConfig, group: Group | None) -> None:
    """Refuse what a teacher that is shared out cannot do.

    One that the first process alone asks would wait for the others for good.

    Raises:
        ConfigError: the run would do so, or takes gradients through its teachers.
    """
    if not shares(config, group):
        return
    for stage in config.stages:
        if stage.train == "transform":
            _refuse(f"stage '{stage.name}', which the first process fits alone", "--transform none")
        if stage.transform == "joint":
            what = f"transform=joint of stage '{stage.name}', which takes gradients through the teacher"
            _refuse(what, "--transform none")
        if stage.teacher_cache != "none":
            what = f"teacher_cache={stage.teacher_cache} of stage '{stage.name}', which each process fills by itself"
            _refuse(what, "teacher_cache=none")
    if config.holdout:
        _refuse(f"holdout={config.holdout:g}, which the first process measures alone", "--set holdout=0")


def _refuse(what: str, instead: str) -> None:
    raise ConfigError(
        f"shard_teacher=true lets all processes run a teacher together, which does not go with {what}; use {instead}"
    )


def shared_out(teachers: Iterable[nn.Module]) -> str | None:
    """Return in words what this process holds of teachers that are shared out; None where none is."""
    held = [bytes_here(teacher) for teacher in teachers if is_shared_out(teacher)]
    if not held:
        return None
    parameters, buffers = (sum(column) / _MIB for column in zip(*held, strict=True))
    return (
        f"each process holds {parameters:.1f} MiB of the teachers' parameters, and all of their {buffers:.1f} MiB of "
        "buffers; they are not measured beside the student: kdcli eval teacher:SPEC does that"
    )
