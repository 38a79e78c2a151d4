"""Remember which third-party plugins failed to load, so that a listing can say so without trying again.

One small JSON file in the user's cache. An entry belongs to a distribution, its version, the entry point's value and
the module file with its modification time: after an update or an edit it no longer counts. Losing the file costs
nothing, so every problem with it is ignored.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from kdcli.errors import ConfigError
from kdcli.plugins.locate import module_file

_LIMIT = 200


def cache_folder() -> Path:
    """Return the folder for what can be made again: ``KDCLI_CACHE``, else the platform's cache folder.

    Raises:
        ConfigError: the user has no home, as in some containers.
    """
    home = os.path.expanduser("~")  # noqa: PTH111 - pathlib's raises
    if chosen := os.environ.get("KDCLI_CACHE"):
        return Path(os.path.expanduser(chosen))  # noqa: PTH111
    windows = sys.platform == "win32"
    if given := os.environ.get("LOCALAPPDATA" if windows else "XDG_CACHE_HOME"):
        return Path(given, "kdcli", "cache") if windows else Path(given, "kdcli")
    if home == "~":
        raise ConfigError("this user has no home folder for what is kept; set KDCLI_CACHE=DIR")
    return Path(home, "AppData", "Local", "kdcli", "cache") if windows else Path(home, ".cache", "kdcli")


def recall(distribution: str, version: str, value: str) -> str | None:
    """Return the first error line of the last load of an entry point, if it failed and nothing changed since."""
    known = _read()
    if not known:
        return None
    return known.get(_key(distribution, version, value))


def remember(distribution: str, version: str, value: str, error: str | None) -> None:
    """Keep the outcome of a load; None = it went well. Never fails: the cache may be read-only."""
    known = _read()
    key = _key(distribution, version, value)
    if known.get(key) == error:
        return
    known.pop(key, None)
    if error is not None:
        known[key] = error
    from kdcli.files import write_json

    try:
        write_json(_path(), dict(list(known.items())[-_LIMIT:]))
    except (OSError, ConfigError):
        return


def _path() -> Path:
    return cache_folder() / "plugin-failures.json"


def _read() -> dict[str, str]:
    try:
        document = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, ConfigError):
        return {}
    return {k: v for k, v in document.items() if isinstance(v, str)} if isinstance(document, dict) else {}


def _key(distribution: str, version: str, value: str) -> str:
    file = module_file(value.partition(":")[0].strip())
    try:
        changed = file.stat().st_mtime_ns if file is not None else 0
    except OSError:
        changed = 0
    return f"{distribution} {version} {value} {file} {changed}"
