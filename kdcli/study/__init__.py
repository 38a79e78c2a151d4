"""Studies: a grid of recipes x image counts x seeds, run one after the other, and one table out of the result files.

``plan`` turns a study's TOML into a validated grid, ``run`` works through it, ``table`` reads what the runs wrote and
``report`` tells it. Nothing heavy is imported before a study runs.
"""

from __future__ import annotations

from kdcli.study.find import names, read
from kdcli.study.grid import Arm, Cell, Study
from kdcli.study.plan import plan

__all__ = ["Arm", "Cell", "Study", "names", "plan", "read"]
