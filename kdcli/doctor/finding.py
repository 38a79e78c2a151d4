"""What a look at the machine gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about this machine. hint: what to do, where there is something to do."""

    name: str
    status: str
    value: str
    hint: str = ""

    def row(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return asdict(self)
