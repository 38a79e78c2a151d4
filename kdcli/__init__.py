"""kdcli: distil a large monocular depth network into a small one, also without the target's images.

From Python the names are those of the command line; heavy imports happen on first use.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from kdcli.version import __version__

# onnxruntime reports to its makers unless this is set before it is imported; kdcli sends nothing anywhere.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_PUBLIC = {
    "build": "kdcli.plugins.registry",
    "configure": "kdcli.choosing",
    "load_model": "kdcli.models",
    "load_source": "kdcli.sources",
    "distill": "kdcli.training",
    "evaluate": "kdcli.evals",
    "export": "kdcli.exporters",
}
__all__ = ["__version__", "build", "configure", "distill", "evaluate", "export", "load_model", "load_source"]

if TYPE_CHECKING:
    from kdcli.choosing import configure as configure
    from kdcli.evals import evaluate as evaluate
    from kdcli.exporters import export as export
    from kdcli.models import load_model as load_model
    from kdcli.plugins.registry import build as build
    from kdcli.sources import load_source as load_source
    from kdcli.training import distill as distill


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'kdcli' has no attribute '{name}'")
