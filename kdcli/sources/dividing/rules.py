"""Which images of a source are measured on: a function of their names, the rule and the seed alone."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from kdcli.errors import ConfigError
from kdcli.protocols import Source
from kdcli.sources.dividing.scenes import scene_name
from kdcli.sources.pairs import Pair
from kdcli.sources.splitting import split

By = Literal["scene", "folder", "index", "random"]
BY: tuple[str, ...] = get_args(By)


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """The pairs of both parts, each in the source's order. rule: how they were told apart, in a line."""

    train: Sequence[Pair]
    test: Sequence[Pair]
    rule: str


def divide(
    source: Source, spec: str, share: float, by: By, *, seed: int = 0, level: int | None = None
) -> Division:
    """Divide a source. share: of the images, that is wanted for measuring.

    by: ``scene`` and ``folder`` take whole groups, in an order that names and seed give, as long as each brings the
    share nearer; ``index`` takes the ends of stretches of the listing, whatever the seed; ``random`` draws images.
    level: of ``scene``, so many folders are one.

    Raises:
        ConfigError: the source has no files, too few images or groups, or a share or level that makes no sense.
    """
    if not 0 < share < 1:
        raise ConfigError(f"--share {share:g} is no share; write one above 0 and below 1, for example 0.1")
    if level is not None and (level < 1 or by != "scene"):
        raise ConfigError(f"--level {level} is the number of folders that make a scene, 1 or more, with --by scene")
    pairs: Sequence[Pair] | None = getattr(source, "pairs", None)
    if pairs is None:
        raise ConfigError(f"'{spec}' has no files, and lists name files; divide it with count=, start= or seed=")
    if len(pairs) < 2:
        raise ConfigError(f"'{spec}' has {len(pairs)} image(s), which cannot be divided")
    if by == "index":
        parts = split(source, spec, share, "index")
        return _division(pairs, set(parts.held_out), parts.rule)
    if by == "random":
        count = min(max(round(len(pairs) * share), 1), len(pairs) - 1)
        return _division(pairs, set(random.Random(seed).sample(range(len(pairs)), count)), "single images, at random")
    name: Callable[[str], str] = (lambda x: x.rpartition("/")[0]) if by == "folder" else (
        lambda x: scene_name(x, level)
    )
    groups = [name(pair.id) for pair in pairs]
    chosen = _chosen(Counter(groups), share * len(pairs), seed, spec, by)
    test = {i for i, group in enumerate(groups) if group in chosen}
    return _division(pairs, test, f"{len(chosen)} of {len(set(groups))} {by}s: {_listed(sorted(chosen))}")


def _chosen(sizes: Counter[str], wanted: float, seed: int, spec: str, by: str) -> set[str]:
    """Return the groups that come nearest to the wanted number of images; at least one, and not all."""
    if len(sizes) < 2:
        raise ConfigError(
            f"all images of '{spec}' are of one {by}, '{next(iter(sizes))}'; use --by index, --level N, or "
            "recursive=true to look into sub-folders"
        )
    order = sorted(sizes, key=lambda group: _digest(f"{seed}:{group}"))
    chosen, held = set[str](), 0
    for group in order[:-1]:
        if abs(held + sizes[group] - wanted) < abs(held - wanted):
            chosen.add(group)
            held += sizes[group]
    return chosen or {min(order, key=sizes.__getitem__)}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _division(pairs: Sequence[Pair], test: set[int], rule: str) -> Division:
    return Division(
        train=[pairs[i] for i in range(len(pairs)) if i not in test], test=[pairs[i] for i in sorted(test)], rule=rule
    )


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
