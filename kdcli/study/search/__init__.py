"""A study as a search: settings drawn from ranges, halved rung by rung, and a table of those left.

``ask`` checks what was asked for, ``draws`` makes settings of it, ``plan`` makes a study of each rung, ``halve`` runs
them and decides, ``record`` keeps what was decided, ``tell`` shows it. The rungs and the table at the end are studies
like any other: their runs go on, and are shared among processes, as those do.
"""

from __future__ import annotations

from kdcli.study.search.ask import ask
from kdcli.study.search.plan import Rung, Search, Trial

__all__ = ["Rung", "Search", "Trial", "ask"]
