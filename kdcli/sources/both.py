"""Two sources as one, such as labelled and unlabelled images: every batch holds a share of the second one.

The listing has each image once, those of both sources evenly among one another, so that a held-out stretch has some of
either. Batches are another matter: ``share`` and ``part_of`` tell the order of training how many of each to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from kdcli.errors import ConfigError, SpecError
from kdcli.plugins import registry
from kdcli.protocols import Source, plugin
from kdcli.sources import load_source
from kdcli.sources.joined import in_order, with_parts
from kdcli.sources.parts import has_depth, has_instances, renders
from kdcli.sources.sim import ENDLESS
from kdcli.sources.sized import sized
from kdcli.sources.table.view import View
from kdcli.spec import Spec, keys, members, parse
from kdcli.types import Finding, Geometry, Sample

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from kdcli.sources.pairs import Pair
    from kdcli.types import Batch, DepthKind

Labels = Literal["both", "first", "second"]
_OWN = ("share", "labels")


@plugin
def both(location: str, *, share: float | None = None, labels: Labels = "both") -> Both:
    """Mix two sources: ``both:[nyu:/data/nyu|folder:photos],share=0.5``, the two between a bar.

    ``share``: of the second one in every batch, 0.5 where it is not said. ``labels``: whose depth counts; ``first``
    hides that of the second. Both keys may also stand behind the last source inside of the brackets.

    Raises:
        SpecError: not two sources, or a share that is none. ConfigError: sources that cannot be joined.
    """
    specs = members(location)
    if len(specs) != 2:
        raise SpecError(f"'both:{location}' names {len(specs)} source(s); write two between a bar: both:[NAME|NAME]")
    outside = {"share": share, "labels": labels}
    last, inside = _parted(specs[1])
    twice = next((key for key in inside if outside[key] not in (None, "both")), None)
    if twice is not None:
        raise SpecError(f"key '{twice}' is given twice in 'both:{location}'; write it once, behind the brackets")
    share = share if share is not None else _share(inside.get("share", "0.5"))
    return of_two(specs[0], str(last), share=share, labels=inside.get("labels", labels))


def of_two(first: str, second: str, *, share: float = 0.5, labels: str = "both") -> Both:
    """Return two sources, by their specs, as one; it makes whole batches where both do.

    Raises:
        SpecError, ConfigError: as ``both``.
    """
    if not 0 < share < 1:
        raise SpecError(f"share={share:g} is no share of a batch; write one above 0 and below 1, for example 0.5")
    if labels not in ("both", "first", "second"):
        raise SpecError(f"labels={labels} is not both, first or second")
    parts = load_source(first), load_source(second)
    name = f"both:[{first}|{second}],share={share:g}" + ("" if labels == "both" else f",labels={labels}")
    for part, spec in zip(parts, (first, second), strict=True):
        if isinstance(part, Both):
            raise SpecError(f"'{spec}' is a mix itself, whose share would be lost in another; mix two plain sources")
        if len(part) == 0:
            raise ConfigError(f"'{spec}' has no images to mix; check it with: kdcli data check '{spec}'")
    kind = RenderedBoth if all(map(renders, parts)) else Both
    return kind(name, parts, share=share, labels=labels)


class Both:
    """The images of two sources. Their ids begin with ``1/`` and ``2/``, so that they stay apart.

    Where one of both is endless, so is the listing; it then has the share itself, and a counted source comes round
    again (``2/ID#1``).
    """

    def __init__(self, name: str, parts: tuple[Source, Source], *, share: float, labels: str) -> None:
        """Join them; nothing is read.

        Raises:
            ConfigError: depth of two kinds.
        """
        self.name, self.parts, self.share = name, parts, share
        self._labelled = tuple(
            has_depth(part) and labels in ("both", own) for part, own in zip(parts, ("first", "second"), strict=True)
        )
        kinds = [part.depth_kind for part, counts in zip(parts, self._labelled, strict=True) if counts]
        if len(set(kinds)) > 1:
            raise ConfigError(f"'{name}' joins depth of two kinds, {kinds[0]} and {kinds[1]}; labels=first hides one")
        self.depth_kind: DepthKind | None = kinds[0] if kinds else None
        self.has_instances = any(map(has_instances, parts))
        domains = {getattr(part, "domain", "any") for part in parts}
        self.domain = domains.pop() if len(domains) == 1 else "any"
        counts = [len(part) for part in parts]
        self._count = ENDLESS if max(counts) >= ENDLESS else sum(counts)
        endless = self._count == ENDLESS
        mixed = Fraction(share).limit_denominator(10_000) if endless else Fraction(counts[1], sum(counts))
        self._second, self._of = mixed.numerator, mixed.denominator

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> Sample:
        part, place, _ = self._place(index)
        return self._joined(index, self.parts[part][place])

    def sized(self, index: int, size: tuple[int, int]) -> Sample:
        """Return an item for training at (height, width)."""
        part, place, _ = self._place(index)
        return self._joined(index, sized(self.parts[part], place, size))

    def _joined(self, index: int, sample: Sample) -> Sample:
        part, _, lap = self._place(index)
        if not self._labelled[part]:
            sample = replace(sample, depth=None, valid=None)
        if self.has_instances and sample.instances is None:
            size = sample.image.shape[-2:]
            sample = replace(sample, instances=sample.image.new_zeros(size).long())  # 0 = no object
        if not self._cameras:
            sample = replace(sample, intrinsics=None)
        return replace(sample, id=_named(part, sample.id, lap))

    def part_of(self, index: int) -> int:
        """Return 0 where an image is the first source's and 1 where it is the second's."""
        return (index + 1) * self._second // self._of - index * self._second // self._of

    def member(self, index: int) -> tuple[Source, int]:
        """Return the source that an image comes from, and its place there."""
        part, place, _ = self._place(index)
        return self.parts[part], place

    def check(self) -> Sequence[Finding]:
        """Say what is missing or broken in either, how they are mixed, and what gets lost by that."""
        numbers = ["endless" if len(part) >= ENDLESS else str(len(part)) for part in self.parts]
        told = [Finding(
            level="info",
            message=f"{self.name}: {numbers[0]} and {numbers[1]} images, {self.share:.0%} of a batch from the second",
        )]
        if not self._cameras and any(part[0].intrinsics is not None for part in self.parts):
            message = f"{self.name}: cameras are known for one of both only, so that none are used"
            told.append(Finding(level="warning", message=message))
        return [*told, *self.parts[0].check(), *self.parts[1].check()]

    @cached_property
    def _cameras(self) -> bool:
        """Whether both have cameras; that of some images of a batch only is of no use."""
        return all(part[0].intrinsics is not None for part in self.parts)

    def _place(self, index: int) -> tuple[int, int, int]:
        """Return which source an image is of, its place there, and how often that came round before."""
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"image {index} is outside {self.name} with {len(self)} images")
        part, before = self.part_of(at), at * self._second // self._of
        lap, place = divmod(before if part else at - before, len(self.parts[part]))
        return part, place, lap

    def _geometry(self, index: int) -> Geometry:
        source, place = self.member(index)
        told = getattr(source, "geometry", None)
        return Geometry() if told is None else told(place)

    def __getattr__(self, name: str) -> Any:
        """Have ``pairs`` where both are sources of files, and ``geometry`` where either has it: such members tell."""
        parts = self.__dict__.get("parts", ())
        if name == "geometry" and any(hasattr(part, name) for part in parts):
            return self._geometry
        if name != "pairs" or len(self) == ENDLESS or not (parts and all(hasattr(part, "pairs") for part in parts)):
            raise AttributeError(name)
        self.pairs: Sequence[Pair] = View(_Named(self), range(len(self)))
        return self.pairs


class _Named(Sequence["Pair"]):
    """The pairs of a mix, with its ids, made when they are asked for."""

    def __init__(self, mix: Both) -> None:
        self._mix = mix

    def __len__(self) -> int:
        return len(self._mix)

    def __getitem__(self, index: Any) -> Any:
        part, place, lap = self._mix._place(index)
        pair = self._mix.parts[part].pairs[place]  # type: ignore[attr-defined]
        return replace(pair, id=_named(part, pair.id, lap))


class RenderedBoth(Both):
    """Of two sources that make whole batches on the device."""

    def __init__(self, name: str, parts: tuple[Source, Source], *, share: float, labels: str) -> None:
        super().__init__(name, parts, share=share, labels=labels)
        self.size: tuple[int, int] | None = getattr(parts[0], "size", None)
        """Of images where nobody says one: the first source's."""

    def batch(
        self, indices: Sequence[int] | Tensor, size: tuple[int, int] | None = None, device: torch.device | str = "cpu",
    ) -> Batch:
        """Make a batch of the images at these positions; size is (height, width), or None for the first source's."""
        places = [self._place(int(index)) for index in indices]
        made, rows = [], []
        for part in (0, 1):
            mine = [row for row, (own, _, _) in enumerate(places) if own == part]
            if not mine:
                continue
            source: Any = self.parts[part]
            batch: Batch = source.batch([places[row][1] for row in mine], size or self.size, device)
            ids = tuple(_named(part, name, places[row][2]) for name, row in zip(batch.ids, mine, strict=True))
            made.append(with_parts(
                replace(batch, ids=ids), depth=self.depth_kind is not None, labelled=self._labelled[part],
                instances=self.has_instances, intrinsics=self._cameras,
            ))
            rows += mine
        return in_order(made, rows)


def _named(part: int, name: str, lap: int) -> str:
    return f"{part + 1}/{name}" + (f"#{lap}" if lap else "")


def _parted(text: str) -> tuple[Spec, dict[str, str]]:
    """Part the keys of a mix from those of its last source; a key that this source has itself is the source's."""
    spec = parse(text)
    chosen, _ = registry.resolve("source", spec)
    theirs = keys(registry.load(chosen))
    mine = {key: value for key, value in spec.options.items() if key in _OWN and key not in theirs}
    return replace(spec, options={key: value for key, value in spec.options.items() if key not in mine}), mine


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"share={text} is not a number; write one above 0 and below 1, for example 0.5") from None
