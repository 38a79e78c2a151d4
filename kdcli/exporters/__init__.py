"""Exported files: written, proved to give the same numbers, and read back as models."""

from __future__ import annotations

from kdcli.exporters.gate.compare import Drift
from kdcli.exporters.loaded import ExportedModel, load_exported
from kdcli.exporters.report import ExportReport
from kdcli.exporters.writing import export

__all__ = ["Drift", "ExportReport", "ExportedModel", "export", "load_exported"]
