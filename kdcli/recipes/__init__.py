"""Recipes: TOML files that say what a run does, found by name through entry points; data, never code."""

from __future__ import annotations

import tomllib
from pathlib import Path

from kdcli.errors import ConfigError, PluginError
from kdcli.files import read_text
from kdcli.plugins import registry


def read(name: str) -> tuple[str, str]:
    """Return a recipe's name and text; ``name`` is a registered recipe or the path of a TOML file.

    Raises:
        ConfigError: no such file. PluginError: no recipe of that name.
    """
    if name.endswith(".toml") or "/" in name or "\\" in name:
        path = Path(name)
        try:
            return name, read_text(path)
        except OSError as error:
            why = type(error).__name__
            raise ConfigError(f"recipe '{name}' cannot be read ({why}); see: kdcli recipes list") from None
    plugin = registry.find("recipe", name)
    return plugin.name, registry.recipe_path(plugin).read_text(encoding="utf-8")


def about(plugin: registry.Plugin) -> str:
    """Return a recipe's one-line description, or what is wrong with it."""
    try:
        document = tomllib.loads(registry.recipe_path(plugin).read_text(encoding="utf-8"))
    except (PluginError, tomllib.TOMLDecodeError, OSError) as error:
        return f"broken: {error}"
    return str(document.get("run", {}).get("about", ""))
