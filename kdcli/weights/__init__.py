"""Weights: where they are, how they get there, and how they are read without running anybody's code.

``locate`` finds a file by name, ``pull`` downloads one with its hash checked, ``load_state`` reads tensors and nothing
else, ``load_into`` fills a module strictly, ``save`` writes safetensors with its provenance in the header. Importing
this package is cheap: torch is imported by the functions that need it.
"""

from __future__ import annotations

from kdcli.weights.pull import pull
from kdcli.weights.rename import rename
from kdcli.weights.state import load_into, load_state, read_metadata, save
from kdcli.weights.table import Entry, entries, entry, folders, locate

__all__ = [
    "Entry",
    "entries",
    "entry",
    "folders",
    "load_into",
    "load_state",
    "locate",
    "pull",
    "read_metadata",
    "rename",
    "save",
]
