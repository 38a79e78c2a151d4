"""Networks that a loss trains along with the student, such as a peer: by name, seen to be what can be kept as files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from kdcli.errors import PluginError
from kdcli.plugins.blame import blame
from kdcli.protocols import DepthModel

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def networks_of(name: str, loss: object) -> dict[str, nn.Module]:
    """Return the students that a loss trained along, by name; none where it has no ``networks()``.

    name: of the loss, for messages. To be asked once ``build(ctx)`` was called.

    Raises:
        PluginError: something else than students from which a file can be made.
    """
    if not hasattr(loss, "networks"):
        return {}
    with blame(loss, "networks"):
        found = loss.networks()
    if not isinstance(found, Mapping):
        raise _foreign(name, f"returns {type(found).__name__}, not a mapping of names")
    own = {id(parameter) for parameter in loss.parameters()} if isinstance(loss, nn.Module) else set()
    for key, network in found.items():
        if not isinstance(key, str) or not _NAME.fullmatch(key):
            raise _foreign(name, f"has {str(key)[:40]!r}, which is no name of letters, digits, '-' and '_'")
        if not isinstance(network, nn.Module) or not isinstance(network, DepthModel):
            raise _foreign(name, f"has '{key}', which is no depth model: it lacks depth_kind, depth_range or taps")
        if not isinstance(getattr(network, "architecture", None), str):
            raise _foreign(name, f"has '{key}', which lacks architecture, the spec by which it is built again")
        if not all(id(parameter) in own for parameter in network.parameters()):
            raise _foreign(name, f"has '{key}', whose parameters are not the loss's own: nothing trains it")
    return dict(found)


def _foreign(name: str, what: str) -> PluginError:
    return PluginError(f"networks() of loss '{name}' {what}; report it to its author")
