"""Which layers of a teacher count in the distance of its feature statistics, and by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from kdcli.errors import ConfigError, nearest

_PLACES = ("first", "last", "every")


def chosen(names: Sequence[str], selectors: Sequence[str]) -> tuple[str, ...]:
    """Return the layers that any selector means, in their own order; all of them without selectors.

    A selector is a layer's name, a glob pattern (``*layer4*``), ``first:N``, ``last:N``, either of them with a share
    of all layers (``first:33%``, rounded up), or ``every:K`` (the first layer and each K-th after it). ``!`` in front
    takes layers out again; where the first selector does, all are in.

    Raises:
        ConfigError: a selector that means no layer, the message names the nearest; or no layer is left.
    """
    if not selectors:
        return tuple(names)
    kept = set(names) if selectors[0].startswith("!") else set()
    for selector in selectors:
        meant = _meant(names, selector.removeprefix("!"))
        kept = kept - set(meant) if selector.startswith("!") else kept | set(meant)
    if not kept:
        raise ConfigError(f"feature statistics: {', '.join(selectors)} leaves no layer; take fewer of them out")
    return tuple(name for name in names if name in kept)


def weights_of(names: Sequence[str], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weight of each layer: that of the last selector that means it, else 1.

    Raises:
        ConfigError: a selector that means none of the layers, a weight that is negative or no number, or all are zero.
    """
    found = dict.fromkeys(names, 1.0)
    for selector, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ConfigError(f"feature statistics: weight {weight} of '{selector}' must be a number, not negative")
        found |= dict.fromkeys(_meant(names, selector), float(weight))
    if not any(found.values()):
        raise ConfigError("feature statistics: all layers have the weight 0; give one of them more, or fit nothing")
    return found


def _meant(names: Sequence[str], selector: str) -> Sequence[str]:
    if selector in names:
        return [selector]
    kind, colon, text = selector.partition(":")
    if colon and kind in _PLACES:
        number = _number(len(names), kind, text, selector)
        return {"first": names[:number], "last": names[-number:], "every": names[::number]}[kind]
    found = [name for name in names if fnmatchcase(name, selector)]
    if not found:
        near = nearest(selector, [*names, "first:3", "last:3", "every:2"])
        raise ConfigError(
            f"feature statistics: no layer '{selector}' among {len(names)} such as '{names[0]}'.{near} Use a name, a "
            "pattern with *, first:N, last:N, a share of them such as first:33%, or every:K"
        )
    return found


def _number(layers: int, kind: str, text: str, selector: str) -> int:
    share = text.endswith("%") and kind != "every"
    digits = text.removesuffix("%") if share else text
    if not digits.isdecimal() or int(digits) < 1 or (share and int(digits) > 100):
        needs, form = "a number from 1 on", f"{kind}:3"
        if kind != "every":
            needs, form = f"{needs} or a share from 1% to 100%", f"{form} or {kind}:33%"
        raise ConfigError(f"feature statistics: '{selector}' needs {needs}; write for example {form}")
    return math.ceil(layers * int(digits) / 100) if share else int(digits)
