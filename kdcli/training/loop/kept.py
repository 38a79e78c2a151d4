"""Checkpoints of the stage under way beside the newest one, to go back to: the last few, by the number of their step.

::

    checkpoints/state.pt                            the newest
    checkpoints/at-000000400.student.main.pt        the same file under a second name, where several are kept
    checkpoints/at-000000200.student.main.pt        the one before
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from kdcli.drafts import draft_of, into_place
from kdcli.files import atomic
from kdcli.training.loop import checkpoint

_NAME = re.compile(r"at-([0-9]{9,})\.([^.]+)\.(.+)\.pt")


def keep(state: Path, *, variant: str, stage: str, step: int, most: int) -> None:
    """Keep a checkpoint that is whole on the disk as one of the last ``most``, and remove what is older.

    Where one only is kept, nothing but what another setting or stage left is removed.
    """
    mine = state.with_name(f"at-{step:09d}.{variant}.{stage}.pt")
    if most > 1:
        _copy(state, mine)
    others = [path for path, row in _found(state.parent) if row[1:] != (variant, stage) or row[0] > step]
    # After a run that went back, steps beyond it are of a past that there is no more.
    last = [path for path, row in _found(state.parent) if path not in others]
    for path in (*others, *last[most if most > 1 else 0 :]):
        path.unlink(missing_ok=True)


def newest(state: Path, variant: str) -> dict[str, Any] | None:
    """Return the state from which a variant goes on: the newest checkpoint, or where that was removed the one before.

    Raises:
        WeightsError: the newest one is damaged; the message names what there is instead.
    """
    older = [(path, row[0]) for path, row in _found(state.parent) if row[1] == variant]
    if not state.is_file():
        state = older.pop(0)[0] if older else state
    if not state.is_file():
        return None
    if older and state.samefile(older[0][0]):
        older.pop(0)  # which is damaged as well, if it is
    instead = f"delete it to go on after step {older[0][1]}" if older else checkpoint.ANEW
    found = checkpoint.read(state, instead=instead)
    return found if found["variant"] == variant else None


def drop(folder: Path) -> None:
    """Remove all of them."""
    for path, _ in _found(folder):
        path.unlink(missing_ok=True)


def _found(folder: Path) -> list[tuple[Path, tuple[int, str, str]]]:
    """Return what is kept in a folder, the highest step first, with step, variant and stage."""
    matches = [(path, _NAME.fullmatch(path.name)) for path in folder.glob("at-*.pt")]
    rows = [(path, (int(match[1]), match[2], match[3])) for path, match in matches if match is not None]
    return sorted(rows, key=lambda row: row[1][0], reverse=True)


def _copy(source: Path, target: Path) -> None:
    draft = draft_of(target)
    try:
        draft.hardlink_to(source)
        into_place(draft, target)
        return
    except OSError:  # a file system without such links
        pass
    finally:
        with suppress(OSError):
            draft.unlink()
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)
