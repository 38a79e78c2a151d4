"""``{name}`` in a study's texts: what differs between machines, such as the folder of a data set.

A text that is one variable and nothing else takes the variable's type, so that numbers can be variables too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from kdcli.documents import literal
from kdcli.errors import ConfigError, nearest
from kdcli.study.ranges import KEYS, space

COUNT = "count"
"""The variable that every cell sets: its number of training images."""
SEED = "seed"
"""Another one: its seed, to name what was trained with the same."""

_VARIABLE = re.compile(r"\{([A-Za-z][A-Za-z0-9_-]*)\}")


def used(value: Any) -> set[str]:
    """Return the variables that stand in a value, at any depth."""
    if isinstance(value, str):
        return set(_VARIABLE.findall(value))
    if isinstance(value, Mapping):
        return set().union(*map(used, value), *map(used, value.values()))
    return set().union(*map(used, value)) if isinstance(value, list | tuple) else set()


def fill(value: Any, variables: Mapping[str, Any]) -> Any:
    """Return a value with the known variables in it replaced; the others stay."""
    if isinstance(value, str):
        whole = _VARIABLE.fullmatch(value)
        if whole and whole[1] in variables:
            return variables[whole[1]]
        return _VARIABLE.sub(lambda match: str(variables.get(match[1], match[0])), value)
    if isinstance(value, Mapping):
        return {fill(key, variables): fill(item, variables) for key, item in value.items()}
    return [fill(item, variables) for item in value] if isinstance(value, list | tuple) else value


def resolve(document: Mapping[str, Any], settings: Iterable[str], study: str) -> dict[str, Any]:
    """Return the variables of a study: those given as ``NAME=VALUE``, else the defaults of ``[variables]``.

    Raises:
        ConfigError: a setting that is none or names no variable, or a variable without a value.
    """
    table = document.get("variables", {})
    if not isinstance(table, Mapping) or not all(isinstance(entry, Mapping) for entry in table.values()):
        raise ConfigError(f"[variables] of '{study}' holds one table each; write: nyu = {{ about = \"...\" }}")
    for name, entry in table.items():
        space(entry, f"variable '{name}' of '{study}'")
    wanted = wanted_by(document)
    values = {name: entry["default"] for name, entry in table.items() if "default" in entry}
    known = sorted(wanted | table.keys())
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set '{setting}' is not NAME=VALUE; write for example --set nyu=/data/nyu")
        if name not in known:
            listed = f"Variables: {', '.join(known)}" if known else "It has none"
            raise ConfigError(f"study '{study}' has no variable '{name}'.{nearest(name, known)} {listed}")
        values[name] = _typed(text)
    unset = [name for name in known if name not in values]
    if unset:
        about = [f"{name} ({table[name]['about']})" if "about" in table.get(name, {}) else name for name in unset]
        raise ConfigError(
            f"study '{study}' needs a value for {', '.join(about)}; give " + " ".join(f"--set {n}=..." for n in unset)
            + (", or find one with --search" if all(table.get(n, {}).keys() & set(KEYS) for n in unset) else "")
        )
    return values


def open_variables(document: Mapping[str, Any]) -> list[str]:
    """Return the variables of a study that have no default, so that whoever runs it gives them a value."""
    table = document.get("variables", {})
    table = table if isinstance(table, Mapping) else {}
    names = sorted(wanted_by(document) | table.keys())
    return [name for name in names if not (isinstance(table.get(name), Mapping) and "default" in table[name])]


def wanted_by(document: Mapping[str, Any]) -> set[str]:
    """Return the variables that a study's texts name, but for those that every cell sets."""
    return used({key: value for key, value in document.items() if key != "variables"}) - {COUNT, SEED}


def _typed(text: str) -> Any:
    """Return a number or truth value where the text is one, else the text."""
    value = literal(text)
    return value if isinstance(value, int | float) else text
