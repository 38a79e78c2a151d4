"""What was written, and how far it is from the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kdcli.exporters.gate.compare import Drift


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was written and how far it is from the model."""

    path: Path
    format: str
    files: tuple[str, ...]
    """Names of all files beside ``path`` that belong together, itself among them."""
    bytes: int
    """Of all files."""
    sha256: str
    """Of ``path``; where it is a folder, of the names and hashes of what lies in it."""
    size: tuple[int, int] | None
    """Height and width that the file takes; None = any."""
    int8: bool
    seconds: float
    drift: tuple[Drift, ...]
    """One per batch that was compared; empty when not verified."""
    notes: tuple[str, ...]
    share: float | None = None
    """Bytes over those of the network's weights in float32."""

    @property
    def worst(self) -> Drift | None:
        """The comparison with the largest relative difference."""
        return max(self.drift, key=lambda drift: drift.relative, default=None)
