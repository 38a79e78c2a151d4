"""A published network as a teacher: with weights, found by name where no file is given, and frozen."""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from kdcli.published.base import Published

P = TypeVar("P", bound=Published)


def teacher_of(network: type[P]) -> type[P]:
    """Return a published network as a teacher: the same options, but never without weights, and frozen.

    Without a location the weights are those that the network names for its options (``Published.weights``), looked
    for where ``kdcli weights where`` looks.
    """
    signature = inspect.signature(network)

    @functools.wraps(network.__init__)
    def __init__(self: Any, location: str | None = None, **options: Any) -> None:
        if location is None:
            given = signature.bind_partial(**options)
            given.apply_defaults()
            location = network.weights({key: v for key, v in given.arguments.items() if key != "location"})
        network.__init__(self, location, **options)
        self.eval().requires_grad_(False)

    made: type[P] = type(network.__name__, (network,), {"__init__": __init__, "__doc__": network.__doc__})
    made.__module__ = network.__module__
    return made
