"""What a protocol file may say, and what would measure something else than was meant without an error."""

from __future__ import annotations

from collections.abc import Iterator

from kdcli.errors import ConfigError
from kdcli.evals.crops import Box, Frame
from kdcli.evals.rules import Protocol


def refuse_nonsense(protocol: Protocol, where: str) -> None:
    """Refuse numbers of a protocol that cannot be meant.

    Raises:
        ConfigError: the first of them, with the value and what may stand there.
    """
    for wrong in _wrong(protocol):
        raise ConfigError(f"{where}: {wrong}")


def _wrong(protocol: Protocol) -> Iterator[str]:
    if protocol.band is not None and not 0 < protocol.band <= 1:
        yield f"band = {protocol.band:g} is no share of the rows; write a number above 0 and at most 1"
    if protocol.frame is not None:
        yield from _wrong_frame(protocol.frame)
    if protocol.crop is not None:
        yield from _wrong_box(protocol.crop)
    if not 0 <= protocol.min_depth < float("inf"):
        yield f"min_depth = {protocol.min_depth:g} is no depth; write metres from 0 on"
    yield from _wrong_range("depth", protocol.min_depth, protocol.max_depth)
    if protocol.clip_to is not None:
        yield from _wrong_range("clip_to", *protocol.clip_to)
    if protocol.fit.floor <= 0:
        yield f"fit.floor = {protocol.fit.floor:g} is not above 0, and inverse depth has to be"
    if protocol.fit.side is not None and protocol.fit.side < 1:
        yield f"fit.side = {protocol.fit.side} is no number of pixels; write 1 or more"
    if protocol.least < 1:
        yield f"least = {protocol.least} is no number of pixels; write 1 or more"
    if len(set(protocol.extras)) < len(protocol.extras):
        yield f"extras names '{max(protocol.extras, key=protocol.extras.count)}' twice"


def _wrong_range(what: str, low: float, high: float | None) -> Iterator[str]:
    if high is not None and low >= high:
        yield f"{what} from {low:g} to {high:g} m is no range"


def _wrong_frame(frame: Frame) -> Iterator[str]:
    then = frame.then or (1, 1)
    sides = {"height": frame.height, "width": frame.width, "short_side": frame.short_side, "then": min(then)}
    for name, pixels in sides.items():
        if pixels is not None and pixels < 1:
            yield f"frame.{name} = {pixels} is no number of pixels; write 1 or more"
    resizes = [name for name, given in (("short_side", frame.short_side), ("then", frame.then),
                                        ("stretch", frame.stretch or None)) if given is not None]  # fmt: skip
    if frame.paste and resizes:
        yield f"frame.paste puts the prediction back where it was cut, which frame.{resizes[0]} resizes; leave out one"
    if frame.stretch and frame.short_side is not None:
        yield "frame.stretch resizes all of the image, and frame.short_side before a cut; leave out one"


def _wrong_box(box: Box) -> Iterator[str]:
    most = {"rows": float(box.of[0]), "columns": float(box.of[1])} if box.of is not None else {}
    pixels = box.of is not None or box.unit == "pixel"
    for name, (first, last) in (("rows", box.rows), ("columns", box.columns)):
        end = most.get(name, float("inf") if pixels else 1.0)
        if not 0 <= first < last <= end:
            shares = 'shares from 0 to 1; of = [height, width] or unit = "pixel" make them pixels'
            told = "pixels of 'of'" if most else "pixels" if pixels else shares
            yield f"crop.{name} = [{first:g}, {last:g}] is no range of {told}"
