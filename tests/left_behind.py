"""What killed processes leave behind, made without killing any."""

from __future__ import annotations

import os
from pathlib import Path

from kdcli.drafts import draft_of, is_draft

GONE = 999_999_999
"""No process has this id."""


def draft_of_the_dead(path: Path) -> Path:
    """Return where a process that is gone would have been writing ``path``."""
    draft = draft_of(path)
    name = draft.name.replace(f"-{os.getpid()}-", f"-{GONE}-")
    assert is_draft(name) and name != draft.name
    return draft.with_name(name)
