"""At which scale 16 bits hold depth: the source's own, so that nothing is lost, else one that reaches far enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kdcli.convert.asked import Asked
from kdcli.convert.parts import Part, usual
from kdcli.convert.pool import done
from kdcli.errors import ConfigError, DataError
from kdcli.images import NO_VALUE, depth_form
from kdcli.plugins.blame import blame
from kdcli.rasters import ending_of
from kdcli.remarks import remark
from kdcli.sources.parts import has_depth, renders

SCALES = (1000.0, 256.0, 100.0, 10.0, 1.0)
"""Units per metre that other tools know, the finest first: they hold 65, 255, 655, 6553 and 65534 m."""
_FINE = 100.0
"""Units per metre below which what is near is not what it was."""
_TOGETHER = 64
"""Items that are looked at between two reports of progress."""
_WHOLE = (".png", ".pgm")
"""Endings of files that hold nothing but whole numbers of at most 16 bits."""
Hear = Callable[[str, int, int], None]


def furthest_within(scale: float) -> float:
    """Return the metres that 16 bits hold at a scale."""
    return (NO_VALUE - 0.5) / scale  # from here on it rounds to the mark for none


def scale_for(asked: Asked, parts: Sequence[Part], workers: int, hear: Hear) -> float | None:
    """Return the units per metre of 16-bit depth, or None where depth is stored otherwise.

    Every depth map is looked at where neither the source nor ``max_depth`` says how far it reaches.

    Raises:
        ConfigError: depth reaches further than the scale holds that was asked for, or that readers take for granted.
        DataError: an item cannot be read.
    """
    if asked.made.logarithmic or asked.stored == "npy" or not any(has_depth(part.source) for part in parts):
        return None
    known = asked.made.scales if asked.scale is None else (asked.scale,)
    each = [own_scales(part, hear) for part in parts]
    own = set().union(*each) if all(each) else set()
    if len(own) == 1 and (not known or own <= set(known)):
        return own.pop()
    fitting = known or SCALES
    furthest = asked.max_depth
    if furthest is None and own and NO_VALUE / min(own) < furthest_within(fitting[0]):
        furthest = NO_VALUE / min(own)
    if furthest is None or furthest >= furthest_within(fitting[-1]):
        seen = max(_furthest(part, asked, workers, hear) for part in parts)
        furthest = seen if furthest is None else min(seen, furthest)
    for scale in fitting:
        if furthest < furthest_within(scale):
            if scale < _FINE:
                remark(
                    f"depth reaches {furthest:.6g} m, so it is written in steps of {1 / scale:g} m: --max-depth "
                    f"{int(furthest_within(_FINE))} leaves out what is farther and keeps steps of {1 / _FINE:g} m"
                )
            return scale
    raise ConfigError(_refusal(asked, furthest, fitting[-1]))


def own_scales(part: Part, hear: Hear = lambda what, number, of: None) -> set[float]:
    """Return the units per metre of a part's files where each of them holds whole numbers of at most 16 bits.

    By their names and headers; empty where any holds something else, or more is done to it than to divide it.
    """
    source: Any = part.source
    plain = usual(source, "metres", "stored") and source.codec.plain and source.sky == "none"
    found: set[float] = set()
    for index in range(part.count if plain else 0):
        pair = source.pairs[index]
        if pair.depth is None:
            continue
        scale = source.scale_of(pair)
        if scale is None or source.codec.packed or ending_of(pair.depth) not in _WHOLE:
            form = depth_form(pair.depth, source.codec)
            if form.bits not in (8, 16):
                return set()
            scale = form.units(scale)
        found.add(scale)
        if len(found) > 1:
            break
        if index % _TOGETHER == 0:
            hear("looking at the units of depth", index, part.count)
    return found


def _refusal(asked: Asked, furthest: float, scale: float) -> str:
    holds = furthest_within(scale)
    todo = [f"--max-depth {int(holds)} leaves out what is farther"]
    if (other := next((other for other in SCALES if furthest < furthest_within(other)), None)) is not None:
        todo.insert(0, f"--scale {other:g} holds it")
    if "npy" in asked.made.depths:
        todo.append("--depth npy holds everything")
    return (f"depth reaches {furthest:.6g} m, and 16 bits at {scale:g} units per metre hold {holds:.6g} m: "
            f"{', '.join(todo)}")


def _furthest(part: Part, asked: Asked, workers: int, hear: Hear) -> float:
    begins = range(0, part.count, _TOGETHER)
    jobs = [(begin, min(begin + _TOGETHER, part.count)) for begin in begins]
    look = _Look(part, jobs, asked)
    most = 0.0
    for (_, end), far in zip(jobs, done(look, part.source, workers), strict=True):
        most = max(most, far)
        hear("looking how far depth reaches", end, part.count)
    return most


class _Look:
    """Looks at stretches of a source, in a worker process."""

    def __init__(self, part: Part, jobs: Sequence[tuple[int, int]], asked: Asked) -> None:
        self._part, self._jobs, self._lenient = part, jobs, asked.skip_broken
        # What is rendered is another picture at another size; of files all pixels are looked at.
        self._size = asked.size if renders(part.source) else None

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, number: int) -> float:
        return max((self._reach(index) for index in range(*self._jobs[number])), default=0.0)

    def _reach(self, index: int) -> float:
        try:
            with blame(self._part.source, f"item {index}"):
                sample = self._part.sample(index, self._size)
        except DataError:
            if self._lenient:
                return 0.0
            raise
        if sample.depth is None:
            return 0.0
        known = sample.depth.isfinite() if sample.valid is None else sample.valid & sample.depth.isfinite()
        return float(sample.depth.where(known, 0).max())
