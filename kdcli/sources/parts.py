"""What the images of a source come with, asked of the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdcli.types import Needs

if TYPE_CHECKING:
    from kdcli.protocols import Mixer, Source


def has_depth(source: Source) -> bool:
    """Whether there is ground truth."""
    return source.depth_kind is not None


def has_instances(source: Source) -> bool:
    """Whether there are maps of object ids; a source that does not say is asked for its first item.

    Raises:
        DataError: the first item cannot be read.
    """
    said = getattr(source, "has_instances", None)
    return source[0].instances is not None if said is None else bool(said)


def renders(source: Source) -> bool:
    """Whether images are made on the device at any size that is asked for."""
    return hasattr(source, "batch")


def lacks(mixer: Mixer, source: Source) -> str | None:
    """Return what a mixer says it needs and a source does not have; None where nothing is missing."""
    needs = getattr(mixer, "needs", Needs())
    if needs.instances and not has_instances(source):
        return "instance maps"
    return "depth" if needs.ground_truth and not has_depth(source) else None


def unmet(mixers: Mapping[str, Mixer], source: Source) -> Sequence[tuple[str, str]]:
    """Return spec and missing part of each mixer that a source lacks something for."""
    found = [(text, lacks(mixer, source)) for text, mixer in mixers.items()]
    return [(text, part) for text, part in found if part is not None]
