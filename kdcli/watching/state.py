"""What has become of a run: the word of its manifest, and whether the process that wrote it is still there."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdcli.locks import owner

ENDED = ("finished", "interrupted", "failed", "killed", "damaged")
"""States in which nobody is at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """How a run stands."""

    state: str
    """``running``, ``finished``, ``interrupted``, ``failed``; ``killed``: it says that it runs, and nobody runs it."""
    message: str = ""
    """Why it failed, or who is at work where that cannot be seen from this machine."""
    resume: str | None = None
    """The command that goes on; None where there is nothing to go on with."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ENDED


def state_of(folder: Path, manifest: Mapping[str, Any]) -> RunState:
    """Return how the run in a folder stands, by its manifest and by who owns the folder."""
    state = str(manifest.get("state"))
    if state == "finished":
        return RunState(state=state)
    who = owner(folder)
    if who is not None and not (who.here and who.gone):
        where = "" if who.here else f"by process {who.pid} of machine '{who.host}', as far as can be seen from here"
        return RunState(state="running", message=where)
    again = f"kdcli distill --resume {shlex.quote(str(folder))}"
    if state == "running":
        return RunState(state="killed", message="its process ended without a word", resume=again)
    return RunState(state=state, message=str(manifest.get("error", "")), resume=again)
