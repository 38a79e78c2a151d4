"""Load one plugin and write down how that went: ``python -m kdcli.plugins.probe KIND ADDRESS ANSWER.json``.

Run in a process of its own, so that a plugin which exits, prints, hangs or crashes takes nothing else with it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from kdcli.errors import PluginError
from kdcli.files import write_json
from kdcli.plugins.lenient import be_lenient
from kdcli.plugins.registry import discover, load


def main(kind: str, address: str, answer: Path) -> None:
    """Load the plugin of a kind and ``distribution:name``; write ``{"error", "seconds"}``."""
    be_lenient()
    plugin = next(p for p in discover() if p.kind == kind and p.address == address)
    begin, error = time.perf_counter(), None
    try:
        load(plugin)
    except PluginError as problem:
        error = str(problem).removeprefix(f"{plugin.label} ")
    write_json(answer, {"error": error, "seconds": time.perf_counter() - begin})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
