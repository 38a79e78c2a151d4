"""Protocols: how a number was measured, as data with a name and a hash.

They stand in the files of ``kdcli/evals/protocols``. The hash covers everything that changes a number, so two results
compare exactly when their hashes are equal. A name may carry modifiers: ``nyu-eigen+flip``, ``plain+median``,
``kitti-garg+pixel``, ``plain+max10``.
"""

from __future__ import annotations

from collections.abc import Mapping

from kdcli.errors import ConfigError, nearest
from kdcli.evals.protocol_files import installed, of_file
from kdcli.evals.rules import MODIFIERS, Aggregation, Alignment, Fit, Protocol, meaning

__all__ = ["MODIFIERS", "PROTOCOLS", "Aggregation", "Alignment", "Fit", "Protocol", "find", "is_family", "meaning",
           "named"]

PROTOCOLS: Mapping[str, Protocol] = installed()
"""The protocols by name."""


def named(base: str) -> Protocol | None:
    """Return the protocol of a name without modifiers, or that of a file; None if there is none.

    Raises:
        ConfigError: a file that cannot be read or is no protocol.
    """
    if base.endswith(".toml"):
        return of_file(base)
    return PROTOCOLS.get(base)


def is_family(name: str) -> bool:
    """Whether a name, modifiers apart, is the beginning of several: ``zipdepth`` is ``zipdepth-nyu`` on NYU."""
    base = name.partition("+")[0]
    return base not in PROTOCOLS and any(one.startswith(f"{base}-") for one in PROTOCOLS)


def find(name: str) -> Protocol:
    """Return the protocol of a name, or of a TOML file, with its modifiers.

    Raises:
        ConfigError: an unknown name or modifier, or a range without anything in it; the message names the nearest.
    """
    base, *modifiers = name.split("+")
    protocol = named(base)
    if protocol is None:
        raise ConfigError(
            f"protocol '{base}' is unknown.{nearest(base, (*PROTOCOLS, 'list'))} `kdcli eval --protocol list` names "
            f"all {len(PROTOCOLS)}; each may be followed by +{', +'.join(MODIFIERS)}, +minMETRES, +maxMETRES; one of "
            "your own is a .toml file"
        )
    for modifier in modifiers:
        protocol = protocol.modified(modifier)
    if protocol.max_depth is not None and protocol.min_depth >= protocol.max_depth:
        raise ConfigError(
            f"protocol '{name}' counts depth from {protocol.min_depth:g} to {protocol.max_depth:g} m, which is none"
        )
    return protocol
