"""What finding pairs left out or took a decision about, so that ``data check`` can say it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

from kdcli.sources.pairing.unread import not_read
from kdcli.text import agreeing
from kdcli.types import Finding

_NAMED = 3
"""Files that are named of each sort."""


@dataclass(slots=True, kw_only=True)
class LeftOut:
    """Files by what became of them."""

    images: list[str] = field(default_factory=list)
    """Without a depth map of their name."""
    depths: list[str] = field(default_factory=list)
    """Without an image of their name."""
    untimed: list[str] = field(default_factory=list)
    """Images without a depth map of nearly their time."""
    moved: list[str] = field(default_factory=list)
    """Images whose depth map by time is another than the one at their place in the list."""
    doubles: list[tuple[str, str]] = field(default_factory=list)
    """Maps of one name: the one that is used, one that is not."""
    twins: list[tuple[str, str]] = field(default_factory=list)
    """Images of one name, both of which are used."""
    masked: list[str] = field(default_factory=list)
    """Masks of depth maps that are used."""
    masks: list[str] = field(default_factory=list)
    """Masks, or folders of them, that are not used."""
    unread: list[str] = field(default_factory=list)
    """Depth maps in formats that are not read."""
    own: list[str] = field(default_factory=list)
    """What kdcli itself wrote."""
    disparities: list[str] = field(default_factory=list)
    """Files or folders of disparity, which is not depth."""
    as_depth: list[str] = field(default_factory=list)
    """Maps that are called disparity and are read as depth all the same, since somebody pointed at them."""
    elsewhere: list[str] = field(default_factory=list)
    """Folders that would have pairs of their own, below one that has."""
    bare: list[tuple[str, str]] = field(default_factory=list)
    """Folders that by their names should hold something, and what they lack."""

    def add(self, more: LeftOut) -> None:
        """Take over what was found elsewhere."""
        for one in fields(self):
            getattr(self, one.name).extend(getattr(more, one.name))

    def without(self, used: Iterable[str | None]) -> LeftOut:
        """Return the same without files that are used after all and without repeats."""
        sorts = ("images", "depths", "untimed", "unread", "own", "masks", "masked", "disparities", "elsewhere")
        if any(getattr(self, name) for name in sorts):
            used = set(used)
        for name in sorts:
            files = getattr(self, name)
            files[:] = [path for path in dict.fromkeys(files) if path not in used or files is self.masked]
        return self

    def findings(self) -> list[Finding]:
        """Return a finding for each sort that there is, with how many and the first names."""
        found: list[Finding] = []

        def tell(level: Literal["info", "warning"], paths: Sequence[str], say: Callable[[str], str]) -> None:
            if paths:
                message = agreeing(len(paths), say(names(paths)))
                found.append(Finding(level=level, message=message, path=paths[0]))

        tell("warning", self.images, lambda a: f"images have no depth map of their name and are left out: {a}")
        tell("info", self.untimed, lambda a: f"images have no depth map of nearly their time and are left out: {a}")
        tell("info", self.moved, lambda a: (
            f"images have another depth map by their time than by their place in the list: {a}; they are paired by "
            "time, which is right; protocols of videos that pair by place give other numbers"
        ))
        tell("info", self.depths, lambda a: f"depth maps have no image of their name and are left out: {a}")
        kept = [used for used, _ in self.doubles]
        tell("warning", [other for _, other in self.doubles], lambda a: (
            f"maps are left out because another has the same name: {a}, for the first of them "
            f"'{kept[0]}' is used; remove those that are not meant"
        ))
        first = [one for one, _ in self.twins]
        tell("warning", [other for _, other in self.twins], lambda a: (
            f"images have the name of another but for the ending, and all are used: {a}, the first of them beside "
            f"'{first[0]}'; remove those that are not meant"
        ))
        tell("info", self.masked, lambda a: f"depth maps have masks, which are 0 where nothing was measured: {a}")
        tell("warning", self.masks, lambda a: (
            f"masks are not used, since what they mask is not known: {a}; a mask that is 0 where the depth is no "
            "measurement is used if it is called NAME_depth_mask or NAME_valid beside the depth map"
        ))
        if self.unread:
            message = agreeing(len(self.unread), not_read(self.unread))
            found.append(Finding(level="warning", message=message, path=self.unread[0]))
        tell("warning", self.as_depth, lambda a: (
            f"maps are called disparity and are read as depth: {a}; if they are, convert them: depth in metres is "
            "focal length * baseline / disparity"
        ))
        tell("info", self.own, lambda a: f"files were written by kdcli itself and are left out: {a}")
        tell("info", self.elsewhere, lambda a: f"folders below hold pairs of their own, which are not taken: {a}")
        found += [Finding(level="warning", message=f"'{at}' {lack}", path=at) for at, lack in self.bare[:_NAMED]]
        return found


def names(paths: Sequence[str]) -> str:
    """Return the first few paths in quotes."""
    more = ", ..." if len(paths) > _NAMED else ""
    return ", ".join(f"'{path}'" for path in paths[:_NAMED]) + more
