"""Which simulated world a student learns in where there are no images: one of the teacher's domain, or its own."""

from __future__ import annotations

from kdcli.types import MadeFor

WORLDS = {
    "indoor": "sim:interiors,count=3000",
    "driving": "sim:streets,count=3000",
    "any": "sim:interiors,count=3000",
}
"""By the domain of the teacher."""


def world_for(made_for: MadeFor) -> tuple[str, str]:
    """Return the source and the reason."""
    if made_for.transfer is not None:
        return made_for.transfer, "another world than the teacher's"
    scenes = {"indoor": "rooms", "driving": "streets", "any": "rooms, for a teacher of any scenes"}
    return WORLDS[made_for.domain], f"simulated {scenes[made_for.domain]}"
