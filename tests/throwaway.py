"""Throw-away distributions on a path of their own, good and broken, and kdcli run beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

GOOD = """
class Thing:
    '''A thing that works.'''

    api_version = 2

    def __init__(self, location: str | None = None, *, size: int = 3) -> None:
        self.location, self.size = location, size
"""

BROKEN = {
    "missing": "import a_module_that_does_not_exist\n",
    "syntax": "def broken(:\n",
    "exits": "raise SystemExit(7)\n",
    "dies": "import os\nos._exit(3)\n",
    "noisy": "import os\nprint('NOISE ON STDOUT')\nos.write(1, b'NOISE ON THE DESCRIPTOR')\nThing = 3\n",
    "wrong": "Thing = 3\n",
    "old": "class Thing:\n    api_version = 0\n",
    "new": "class Thing:\n    api_version = 99\n",
    "nothing": "",
    "slow": "import time\ntime.sleep(3600)\nclass Thing:\n    api_version = 2\n",
}
"""Source of a module by what is wrong with it."""


def distribution(folder: Path, name: str, points: Mapping[str, Mapping[str, str]], modules: Mapping[str, str],
                 *, version: str = "1.0", metadata: str | None = None) -> None:
    """Write a distribution. points: group -> name -> value. modules: file -> source."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, source in modules.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" if metadata is None else metadata
    (info / "METADATA").write_text(head, encoding="utf-8")
    text = ""
    for group, names in points.items():
        text += f"[kdcli.{group}]\n" + "".join(f"{plugin} = {value}\n" for plugin, value in names.items())
    (info / "entry_points.txt").write_text(text, encoding="utf-8")


def broken_ones(folder: Path, *, but: str = "") -> list[str]:
    """Write one distribution for each way to be broken but one, as loss and as mixer; return the plugins' names."""
    ways = {name: source for name, source in BROKEN.items() if name != but}
    for name, source in ways.items():
        value = {f"broken-{name}": f"kdbroken_{name}:Thing"}
        distribution(folder, f"kdbroken-{name}", {"losses": value, "mixers": value}, {f"kdbroken_{name}.py": source})
    return [f"broken-{name}" for name in ways]


def run_kdcli(*arguments: object, path: Path, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``kdcli`` with a folder of distributions in sight."""
    joined = os.pathsep.join([str(path), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-P", "-m", "kdcli", *map(str, arguments)], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": joined, "KDCLI_CACHE": str(cache), **environment}, check=False,
    )
