"""Parts of a source that are kept out of training, told by its own keys: another split, or the end of it."""

from __future__ import annotations

import typing
from dataclasses import replace
from typing import Any

from kdcli.choosing.built import Built
from kdcli.errors import KdcliError
from kdcli.plugins import registry
from kdcli.protocols import Source
from kdcli.sources.parts import has_depth, renders
from kdcli.spec import Spec, hints, keys, parse

SHARE = 0.1
"""Of the images, kept out where the source has no split for it."""
MOST = 1000
"""Images that are kept out at most."""
TESTS = ("test", "val")
"""Splits to measure on, the better first: many sets have no ``test``, or publish it without depth."""
SCENES, SEED = 128, 1000
"""Of a simulated world, other scenes than those of training."""


def with_split(data: str, built: Built) -> str:
    """Return a source restricted to its split for training, where it has one beside that for testing or validation.

    Sources that take no ``split``, or were given one or a list, are returned as they are.
    """
    spec = parse(data)
    if spec.options.keys() & {"split", "list"}:
        return data
    train = str(_with(spec, split="train"))
    apart = any(_disjoint(train, str(_with(_bare(spec), split=name)), built) for name in splits_to_measure(spec))
    return train if apart else data


def held_out(data: str, built: Built) -> tuple[str, str, str] | None:
    """Return sources of training and of evaluation made of one with depth, and how; None where it cannot be parted.

    A source of which all splits were to be trained on is restricted to that for training.

    Raises:
        KdcliError: the source cannot be built.
    """
    spec, source = parse(data), built.source(data)
    if renders(source):
        return _other_scenes(spec)
    train = with_split(data, built)
    for name in splits_to_measure(spec) if "list" not in spec.options else ():
        test = str(_with(_bare(spec), split=name))
        if _disjoint(train, test, built) and has_depth(built.source(test)):
            return train, test, f"the source's split={name}"
    return _end(parse(train), built.source(train), built)


def _end(spec: Spec, source: Source, built: Built) -> tuple[str, str, str] | None:
    """Keep out the last images: neighbours in a film are much alike, so a part is taken and not single images."""
    count = len(source)
    if not {"start", "stop", "every"} <= _keys(spec) or "seed" in spec.options or count < 2:
        return None
    kept = count - min(max(round(count * SHARE), 1), MOST)
    begin = int(spec.options.get("start", "0")) + kept * int(spec.options.get("every", "1"))
    if begin < 0 or int(spec.options.get("start", "0")) < 0:
        return None
    first = {key: text for key, text in spec.options.items() if key != "count"}
    train = str(replace(spec, options={**first, "stop": str(begin)}))
    rest = {key: text for key, text in spec.options.items() if key not in ("count", "start")}
    if "count" in spec.options:
        rest["count"] = str(count - kept)
    measured = str(_bare(replace(spec, options={**rest, "start": str(begin)}), keep=True))
    if not (has_depth(built.source(measured)) and has_depth(built.source(train))):
        return None
    return train, measured, f"the last {count - kept} of its {count} images, kept out of training"


def _other_scenes(spec: Spec) -> tuple[str, str, str] | None:
    if not {"count", "seed"} <= _keys(spec):
        return None
    seed = SEED + (spec.options.get("seed", "0") == str(SEED))
    measured = str(replace(spec, options={**spec.options, "count": str(SCENES), "seed": str(seed)}))
    return str(spec), measured, "other scenes of its world"


def _keys(spec: Spec) -> set[str]:
    return set(keys(registry.load(registry.resolve("source", spec)[0])))


def splits_to_measure(spec: Spec) -> list[str]:
    """Return the splits to measure on that a kind of source knows beside one for training, by what ``split`` takes."""
    factory = registry.load(registry.resolve("source", spec)[0])
    kind = hints(factory).get("split") if "split" in keys(factory) else None
    parts = (kind, *typing.get_args(kind))
    said = [typing.get_args(part) for part in parts if typing.get_origin(part) is typing.Literal]
    choices = {choice for options in said for choice in options}
    own = spec.options.get("split")
    return [name for name in TESTS if name in choices and name != own] if "train" in choices else []


def _bare(spec: Spec, *, keep: bool = False) -> Spec:
    """Return a source without what only training is for: protocols cut frames themselves; with ``keep`` its choice."""
    dropped = ("crop",) if keep else ("crop", "start", "stop", "every", "count", "seed")
    return replace(spec, options={key: text for key, text in spec.options.items() if key not in dropped})


def _with(spec: Spec, **options: str) -> Spec:
    return replace(spec, options={**spec.options, **options})


def _disjoint(one: str, other: str, built: Built) -> bool:
    """Whether two sources can be built and share no image."""
    try:
        sides = [_images(built.source(spec)) for spec in (one, other)]
    except KdcliError:
        return False
    return bool(sides[0] and sides[1]) and not sides[0] & sides[1]


def shared(one: str, other: str, built: Built) -> bool:
    """Whether two sources are known to share images: files that both name, or the same scenes of one world.

    Raises:
        KdcliError: one of them cannot be built.
    """
    first, second = (parse(data) for data in (one, other))
    sides = [built.source(data) for data in (one, other)]
    if renders(sides[0]) and renders(sides[1]):
        return _uncounted(first) == _uncounted(second)
    return bool(_images(sides[0]) & _images(sides[1]))


def _uncounted(spec: Spec) -> Spec:
    """Return a simulated world without its number of scenes, the first of which are the same, and with its seed."""
    options = {"seed": "0", **spec.options}
    return replace(spec, options={key: options[key] for key in sorted(options) if key != "count"})


def _images(source: Any) -> set[str]:
    return {str(pair.image) for pair in getattr(source, "pairs", ())}
