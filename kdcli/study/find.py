"""Studies by name or file; the ones that ship with kdcli lie in ``kdcli/studies``."""

from __future__ import annotations

from pathlib import Path

from kdcli.documents import read_text
from kdcli.errors import ConfigError, nearest

SHIPPED = Path(__file__).parent.parent / "studies"


def shipped() -> list[str]:
    """Return the names of the studies that ship with kdcli."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def read(name: str) -> tuple[Path, str]:
    """Return a study's file and its text; ``name`` is a shipped study or the path of a TOML file.

    Raises:
        ConfigError: no such study or file; the message lists the shipped ones.
    """
    if name.endswith(".toml") or "/" in name or "\\" in name:
        path = Path(name)
    elif name in shipped():
        path = SHIPPED / f"{name}.toml"
    else:
        near, listed = nearest(name, shipped()), ", ".join(shipped())
        raise ConfigError(f"there is no study '{name}'.{near} Studies: {listed}; or give a FILE.toml")
    advice = f"give a study as a TOML file, or one of: {', '.join(shipped())}"
    return path, read_text(path, advice, error=ConfigError)
