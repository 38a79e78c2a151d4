"""Recipes: TOML files that say what a run does, found by name through entry points; data, never code."""

from __future__ import annotations

from pathlib import Path

from kdcli.documents import parse_toml, read_text
from kdcli.errors import ConfigError, PluginError
from kdcli.plugins import registry


def read(name: str) -> tuple[str, str]:
    """Return a recipe's name and text; ``name`` is a registered recipe or the path of a TOML file.

    Raises:
        ConfigError: no such file. PluginError: no recipe of that name.
    """
    if name.endswith(".toml") or "/" in name or "\\" in name:
        advice = "give a recipe as a TOML file; see: kdcli recipes list"
        return name, read_text(Path(name), advice, error=ConfigError, names=True)
    plugin = registry.find("recipe", name)
    return plugin.name, _text(plugin)


def about(plugin: registry.Plugin) -> str:
    """Return a recipe's one-line description, or what is wrong with it."""
    try:
        run = parse_toml(_text(plugin), f"recipe '{plugin.name}'", error=PluginError).get("run", {})
    except PluginError as error:
        return f"broken: {error}"
    return str(run.get("about", "")) if isinstance(run, dict) else "broken: 'run' is no table"


def _text(plugin: registry.Plugin) -> str:
    return read_text(registry.data_file(plugin), f"reinstall '{plugin.distribution}'", error=PluginError)
