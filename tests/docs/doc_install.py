"""What ``pip install -e .`` does for a package that a document begins, without pip: it is in sight afterwards."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from throwaway import distribution

from kdcli.plugins import registry

_GROUP = "kdcli."


def in_sight(folder: Path, site: Path, patched: pytest.MonkeyPatch) -> None:
    """Put a package's code and entry points on the path of this process and of those that it starts."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = {group.removeprefix(_GROUP): names for group, names in project["entry-points"].items()}
    distribution(site, project["name"], points, {})
    for path in (folder, site):
        patched.syspath_prepend(str(path))
    known = filter(None, [os.environ.get("PYTHONPATH")])
    patched.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(site), *known]))
    registry.discover.cache_clear()
