"""A page on this machine alone that shows what models say of a picture."""

from __future__ import annotations

from kdcli.demo.answers import MOST_BYTES, MOST_SIDE, Answers
from kdcli.demo.server import Server

__all__ = ["MOST_BYTES", "MOST_SIDE", "Answers", "Server"]
