"""A source written anew as files: packed for training, or in a layout that other tools read.

``job.py`` goes through it: what is asked (``asked.py``), at which scale depth is stored (``furthest.py``), what was
done before (``journal.py``), then unit by unit in worker processes (``units.py``): an item is read, resized
(``resizing.py``), encoded (``items.py``) and put where its layout has it (``layouts``).
"""

from __future__ import annotations

from kdcli.convert.asked import Asked
from kdcli.convert.job import Report, convert
from kdcli.convert.layouts import LAYOUTS

__all__ = ["LAYOUTS", "Asked", "Report", "convert"]
