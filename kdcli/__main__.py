"""``kdcli`` and ``python -m kdcli``. Signals are answered first: the rest takes its time to be imported."""

from __future__ import annotations

import os
from typing import NoReturn

from kdcli.cli import interrupt


def main() -> NoReturn:
    """Run the command line and exit with the documented code."""
    interrupt.begin()
    if os.environ.get("WORLD_SIZE", "1") != "1":  # each of several processes would warn of what is meant
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from kdcli.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
