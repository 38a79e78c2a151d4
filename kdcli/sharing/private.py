"""What is handed on names no folder of this machine and holds no token."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from kdcli.exporters.card import without_folders
from kdcli.hub.secrets import hidden
from kdcli.text import block

_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


def cleaned(value: Any) -> Any:
    """Return JSON-able facts without folders and tokens."""
    value = without_folders(value)
    if isinstance(value, str):
        return block(hidden(value))
    if isinstance(value, Mapping):
        return {key: cleaned(one) for key, one in value.items()}
    return [cleaned(one) for one in value] if isinstance(value, list) else value


def cleaned_recipe(text: str) -> str:
    """Return a recipe in TOML without folders and tokens in its texts."""
    return _STRING.sub(lambda found: f'"{cleaned(found[1])}"', text)


def command_of(argv: Sequence[str]) -> str | None:
    """Return the command line that made a run; None where it was made from Python or by a study."""
    words = [str(word) for word in argv]
    if len(words) < 2 or words[1] != "distill" or PurePath(words[0]).name not in ("kdcli", "__main__.py", "kdcli.exe"):
        return None
    kept, skip = [], False
    for word in words[1:]:
        if not skip and word not in ("--out", "--debug", "--quiet", "-q", "--json"):
            kept.append(str(cleaned(word)))
        skip = word == "--out"
    return shlex.join(["kdcli", *kept])
