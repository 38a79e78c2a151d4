"""What a run was made with: versions and machine, for its manifest."""

from __future__ import annotations

import contextlib
import datetime
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from kdcli.plugins import registry
from kdcli.version import __version__

LIBRARIES = ("timm", "torchvision", "numpy", "onnx", "onnxruntime")


def environment() -> dict[str, Any]:
    """Return the versions of kdcli, its libraries and the installed plugin packages, the machine, and the command."""
    versions = {"kdcli": __version__, "python": platform.python_version(), "torch": torch.__version__}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "versions": versions,
        "plugins": {p.distribution: p.version for p in registry.discover() if not p.built_in},
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "argv": sys.argv,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
