"""Studies: TOML files, found by name through entry points or given as a file; data, never code."""

from __future__ import annotations

from pathlib import Path

from kdcli.documents import read_text
from kdcli.errors import ConfigError, KdcliError, PluginError, nearest
from kdcli.plugins import registry


def names() -> list[str]:
    """Return the names of the installed studies, kdcli's own and those of other packages."""
    return registry.names("study")


def read(name: str) -> tuple[Path, str]:
    """Return a study's file and its text; ``name`` is an installed study or the path of a TOML file.

    Raises:
        ConfigError: no such study or file; the message lists the installed ones. PluginError: a package names a file
            that it does not have.
    """
    error: type[KdcliError] = ConfigError
    advice = f"give a study as a TOML file, or one of: {', '.join(names())}"
    if name.endswith(".toml") or "/" in name or "\\" in name:
        path = Path(name)
    else:
        try:
            plugin = registry.find("study", name)
        except PluginError:
            near, listed = nearest(name, names()), ", ".join(names())
            raise ConfigError(f"there is no study '{name}'.{near} Studies: {listed}; or give a FILE.toml") from None
        path, error, advice = registry.data_file(plugin), PluginError, f"reinstall '{plugin.distribution}'"
    return path, read_text(path, advice, error=error)
