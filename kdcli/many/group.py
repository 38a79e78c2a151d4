"""The processes of one run, as ``torchrun`` starts them; each works on its part of every batch.

They talk through PyTorch's own backends: NCCL between GPUs, gloo between CPUs and for what lies on no device.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from kdcli.errors import ConfigError, TrainingError
from kdcli.many.orphans import ending_with_torchrun

_JOINING = datetime.timedelta(minutes=10)
"""How long one waits for the others to be there: ``torchrun`` starts all of them at once."""
_PATIENCE = datetime.timedelta(days=2)
"""How long one waits for the others, who may be told to wait for the first to fit a network or to fill a cache: one
that died is noticed by ``torchrun``, which stops the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The processes of a run. Whatever is asked of it has to be asked by all of them, in the same order."""

    rank: int
    size: int

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Return this process's part of a batch of so many images.

        Raises:
            ConfigError: it cannot be shared out evenly.
        """
        if count % self.size:
            raise ConfigError(
                f"a batch of {count} images cannot be shared by {self.size} processes; give --batch-size "
                f"{max(count // self.size, 1) * self.size}, or another multiple of {self.size}"
            )
        share = count // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def wait(self) -> None:
        """Wait until all have come here."""
        distributed.barrier(group=_talk())

    def told(self, what: Any) -> Any:
        """Return what the first process says; the others' word does not count."""
        said = [what]
        distributed.broadcast_object_list(said, src=0, group=_talk())
        return said[0]

    def all_of(self, mine: Any) -> list[Any]:
        """Return what each process says, by rank."""
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, mine, group=_talk())
        return found

    def any(self, mine: bool) -> bool:
        """Return whether any process says yes. It waits for no GPU."""
        said = torch.tensor([int(mine)])
        distributed.all_reduce(said, distributed.ReduceOp.MAX, group=_talk())
        return bool(said)

    def total(self, mine: int) -> int:
        """Return the sum of what each process counted."""
        said = torch.tensor([mine])
        distributed.all_reduce(said, group=_talk())
        return int(said)


_between_cpus: Any = None


def _talk() -> Any:
    """Return the group over which objects and flags travel: that of the CPUs."""
    return _between_cpus


def asked_for() -> int:
    """Return how many processes the environment speaks of, as ``torchrun`` sets it; 1 = none but this."""
    try:
        return max(int(os.environ.get("WORLD_SIZE", "1")), 1) if "RANK" in os.environ else 1
    except ValueError:
        said = os.environ["WORLD_SIZE"]
        raise ConfigError(f"WORLD_SIZE={said} is no number of processes; start them with torchrun") from None


def on_this_machine() -> int:
    """Return how many of them share this machine, its memory and its cores."""
    try:
        return max(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1) if asked_for() > 1 else 1
    except ValueError:
        return 1


def begun_again() -> bool:
    """Whether ``torchrun`` started the processes once more after one of them was lost."""
    return asked_for() > 1 and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") not in ("", "0")


def own_device(device: torch.device) -> torch.device:
    """Return the device of this process: of several on one machine each takes the GPU of its local rank.

    Raises:
        ConfigError: there are fewer GPUs than processes.
    """
    if asked_for() == 1 or device.type != "cuda":
        return device
    local, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= there:
        raise ConfigError(
            f"process {local} of this machine finds {there} GPUs; start at most {there} a machine, or give --device cpu"
        )
    return torch.device("cuda", local)


@contextmanager
def joined(device: torch.device) -> Iterator[Group | None]:
    """Join the other processes of a run; None where there is one process alone.

    Raises:
        ConfigError: they do not find one another. TrainingError: one of them was lost in the middle of the work.
    """
    if asked_for() == 1:
        yield None
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with ending_with_torchrun() as begun:
        group = _join(device)
        begun.set()
        yield from _held(group)


def _join(device: torch.device) -> Group:
    global _between_cpus
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        store, rank, size = next(rendezvous("env://", timeout=_JOINING))
        store.set_timeout(_PATIENCE)
        # torchrun keeps its store when it starts the processes once more; PyTorch 2.14 finds the old addresses in it.
        again = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        distributed.init_process_group(backend, store=again, rank=rank, world_size=size, timeout=_PATIENCE)
        _between_cpus = distributed.new_group(backend="gloo", timeout=_PATIENCE)
    except (ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:160]
        raise ConfigError(
            f"the processes of this run do not find one another ({why}); start them with torchrun"
        ) from None
    return Group(rank=rank, size=size)


def _held(group: Group) -> Iterator[Group]:
    global _between_cpus
    try:
        yield group
    except RuntimeError as error:
        why = " ".join(str(error).split())
        if not any(backend in why for backend in ("gloo", "Gloo", "NCCL")):
            raise
        raise TrainingError(
            f"process {group.rank} of this run lost another one ({why[:120]}); what that one says tells why"
        ) from error
    finally:
        _between_cpus = None
        distributed.destroy_process_group()
