"""How long networks take on this machine, side by side: models, exported files in their runtimes, files of others."""

from __future__ import annotations

from kdcli.benching.job import bench
from kdcli.benching.report import Report, Row

__all__ = ["Report", "Row", "bench"]
