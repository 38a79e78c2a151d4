"""Weights: where they are, how they get there, and how they are read without running anybody's code.

``locate`` finds a file by name, ``pull`` downloads one with its hash checked, ``load_state`` reads tensors and nothing
else, ``convert`` gets tensors out of files that hold more, ``load_into`` fills a module strictly, ``save`` writes
safetensors with its provenance in the header. Importing this package is cheap: torch is imported by the functions that
need it.
"""

from __future__ import annotations

from kdcli.weights.choice import parted
from kdcli.weights.convert import Converted, convert
from kdcli.weights.pull import pull
from kdcli.weights.reading import Weights, check_file, load_state, load_tensors, read_metadata, read_weights
from kdcli.weights.rename import rename
from kdcli.weights.state import load_into, save
from kdcli.weights.table import Entry, entries, entry, entry_of, folders, locate

__all__ = [
    "Converted",
    "Entry",
    "Weights",
    "check_file",
    "convert",
    "entries",
    "entry",
    "entry_of",
    "folders",
    "load_into",
    "load_state",
    "load_tensors",
    "locate",
    "parted",
    "pull",
    "read_metadata",
    "read_weights",
    "rename",
    "save",
]
