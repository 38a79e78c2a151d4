"""Which simulated world a student learns in where there are no images: one of the teacher's domain, or its own."""

from __future__ import annotations

from kdcli.sources.sim import world_of
from kdcli.types import MadeFor

COUNT = 3000
"""Scenes that are rendered: what fits into the cache of rendered images is rendered once."""


def world_for(made_for: MadeFor) -> tuple[str, str]:
    """Return the source and the reason."""
    if made_for.transfer is not None:
        return made_for.transfer, "another world than the teacher's"
    why = "for a teacher of any scenes" if made_for.domain == "any" else f"the simulated world for {made_for.domain}"
    return f"{world_of(made_for.domain)},count={COUNT}", why
