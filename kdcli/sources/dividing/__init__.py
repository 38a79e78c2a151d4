"""Divide a source into two lists of files, one to train on and one to measure on.

``scenes`` says which images show one scene, ``rules`` which of them go where, ``written`` puts it on disk.
"""

from __future__ import annotations

from kdcli.sources.dividing.rules import BY, Division, divide
from kdcli.sources.dividing.written import LISTS, reading, write_lists

__all__ = ["BY", "LISTS", "Division", "divide", "reading", "write_lists"]
