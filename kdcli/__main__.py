"""``kdcli`` and ``python -m kdcli``. Signals are answered first: the rest takes its time to be imported."""

from __future__ import annotations

from typing import NoReturn

from kdcli.cli import interrupt


def main() -> NoReturn:
    """Run the command line and exit with the documented code."""
    interrupt.begin()
    from kdcli.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
