"""A run of several processes: the first one writes its folder, the others follow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kdcli.config import RunConfig, StageConfig
from kdcli.many.group import Group
from kdcli.training.loop.train import StepLog
from kdcli.training.run.folder import RunFolder


class FollowedRun(RunFolder):
    """The folder of a run that another process writes: everything can be read, and nothing is written."""

    def write_manifest(self, document: dict[str, Any]) -> None:
        """Leave it to the first process."""

    def update(self, **facts: Any) -> None:
        """Leave it to the first process."""

    def begin_again(self) -> None:
        """Leave it to the first process."""

    def log_step(self, log: StepLog) -> None:
        """Leave it to the first process."""

    def note(self, message: str) -> None:
        """Leave it to the first process."""

    def forget_after(self, variant: str, stage: str, step: int) -> int:
        """Leave it to the first process, which alone tells of steps."""
        return 0

    def drop_states(self, config: RunConfig) -> None:
        """Leave it to the first process."""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """The first process keeps others out."""
        yield

    @contextlib.contextmanager
    def ending(self, told: Callable[[str], None]) -> Iterator[None]:
        """The first process writes down how it ended."""
        yield


def opened(group: Group | None, first: Callable[[], RunFolder]) -> RunFolder:
    """Return the run of a group, made or opened by its first process.

    first: what that one does; what it raises, the others do not hear of, and are stopped by whoever started them.
    """
    if group is None:
        return first()
    if group.first:
        run = first()
        group.told(str(run.path))
        return run
    return FollowedRun(Path(group.told("")))


def writes(group: Group | None) -> bool:
    """Whether this process writes files."""
    return group is None or group.first


@contextlib.contextmanager
def in_turn(group: Group | None) -> Iterator[None]:
    """Let the first process go through the block before the others enter it."""
    if group is not None and not group.first:
        group.wait()
    yield
    if group is not None and group.first:
        group.wait()


def of_all(group: Group | None, count: Callable[[], int]) -> int:
    """Return what all processes counted."""
    return count() if group is None else group.total(count())


def shared_how(group: Group, stage: StageConfig) -> str:
    """Return in words how the processes share a stage."""
    share = stage.batch_size // group.size
    norms = "batch norms see all of a batch" if stage.sync_batch_norm else (
        f"batch norms see the {share} images of their process, as in a smaller batch; sync_batch_norm=true shows them "
        "all"
    )
    return f"{group.size} processes, {share} of the {stage.batch_size} images of a batch each; {norms}"
