"""What was given (options, a recipe, settings) -> one resolved run: which recipe, sizes, how long, measured how.

What a teacher was made for (``kdcli.types.MadeFor``), what the images come with, and what the user said decide; the
last wins. A resolved configuration holds plain values only, so that it repeats a run without choosing again.

Nothing heavy is imported before a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_FROM = {"Built": "built", "Choice": "chosen", "choose": "chosen", "configure": "options"}
__all__ = ["Built", "Choice", "choose", "configure"]

if TYPE_CHECKING:
    from kdcli.choosing.built import Built as Built
    from kdcli.choosing.chosen import Choice as Choice
    from kdcli.choosing.chosen import choose as choose
    from kdcli.choosing.options import configure as configure


def __getattr__(name: str) -> Any:
    if name in _FROM:
        return getattr(importlib.import_module(f"kdcli.choosing.{_FROM[name]}"), name)
    raise AttributeError(f"module 'kdcli.choosing' has no attribute '{name}'")
