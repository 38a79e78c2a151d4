"""Images and size for a command that takes a teacher and does one part of a run."""

from __future__ import annotations

from kdcli.choosing.built import Built
from kdcli.choosing.facts import facts_of
from kdcli.choosing.scale import Size, size_for
from kdcli.choosing.worlds import world_for


def images_for(teacher: str, data: str | None, size: Size | None, built: Built) -> tuple[str, Size]:
    """Return source and size as they were given, or as they follow from the teacher and the images.

    Raises:
        KdcliError: the teacher or the source cannot be built.
    """
    known = facts_of(built.teacher(teacher))
    data = data or world_for(known)[0]
    if size is not None:
        return data, size
    return data, size_for(known, built.image_size(data)).size
