"""Simulated image sources: endless labelled scenes, rendered in batches on the device that wants them.

``rooms`` are furnished rooms with the cues that metric scale is learned from; ``blocks`` are bright scattered solids,
another world at the same scale; ``interiors`` are rooms of many kinds with many kinds of objects, lights and cameras;
``streets`` are what a camera on a car sees.
``noise`` is no world at all, the baseline that tells what images are worth. ``walks`` are many views of each scene of
one of the others. Torch is imported when the first scene is
wanted, not before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from kdcli.errors import DataError, SpecError, nearest
from kdcli.text import counted
from kdcli.types import Batch, DepthKind, Finding, Sample

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WORLD_NAMES = ("rooms", "blocks", "interiors", "streets", "noise")
WALKS = "walks"
"""Many views of each of a world's scenes, in the place of a world's name."""
WALKED = ("rooms", "blocks", "interiors", "streets")
VIEWS = 300
"""Of a scene, as SceneNet RGB-D has them."""
DOMAINS = {"rooms": "indoor", "interiors": "indoor", "streets": "driving"}
"""Which scenes worlds show; the others show none that there are."""
DEFAULT_SIZE = (96, 128)
_WIDE = {"streets": (96, 320)}
"""Sizes of worlds whose cameras take wide pictures."""
DOMAIN_WORLDS = {"indoor": "sim:interiors", "driving": "sim:streets"}
"""The world to distil a network from that was made for a domain (``types.MadeFor``), when there are no images of it."""
ENDLESS = 2**31 - 1
MOST_SCENES = 10**8
"""Of a counted source: the order of an epoch is kept in memory. Without a count there is no epoch and no end."""
_SMALLEST, _LARGEST = 8, 4096


def world_of(domain: str) -> str:
    """Return the spec of a domain's world; of one that says nothing (``any``) the indoor one."""
    return DOMAIN_WORLDS.get(domain, DOMAIN_WORLDS["indoor"])


class SimSource:
    """Source of simulated scenes, ``sim:rooms``, ``sim:blocks``, ``sim:interiors`` or ``sim:streets``, of walks through
    them, ``sim:walks``, or of noise, ``sim:noise``.

    A scene is a function of (world, seed, index) alone; sources of different seeds share no scene. ``count`` limits
    the source's images, without it it is endless. Noise has neither depth nor instances. In streets depth is valid
    from 1 to 80 m, and the sky has none. Walks take ``views`` images of each scene of ``world``, scene after scene.
    """

    api_version: ClassVar[int] = 2

    def __init__(
        self,
        location: str | None = None,
        *,
        count: int | None = None,
        seed: int = 0,
        size: str | None = None,
        world: str | None = None,
        views: int | None = None,
    ) -> None:
        if location is None:
            worlds = [f"sim:{name}" for name in (*WORLD_NAMES, WALKS)]
            raise SpecError(f"source 'sim' needs a world: write {', '.join(worlds[:-1])} or {worlds[-1]}.")
        if location not in (known := (*WORLD_NAMES, WALKS)):
            raise DataError(
                f"source 'sim' has no world '{location}'.{nearest(location, known)} Choose one of: {', '.join(known)}."
            )
        self.world, self.views = _walk(location, world, views)
        self.name = f"sim:{location}"
        self.depth_kind = None if location == "noise" else DepthKind.METRIC
        self.domain = DOMAINS.get(self.world, "any")
        self.has_instances = location != "noise"
        self.seed = _whole("seed", seed)
        self.count = None if count is None else _whole("count", count, lowest=1, highest=MOST_SCENES)
        self.size = _WIDE.get(self.world, DEFAULT_SIZE) if size is None else _parse_size(size)

    def __len__(self) -> int:
        return ENDLESS if self.count is None else min(self.count, ENDLESS)

    def __getitem__(self, i: int) -> Sample:
        """Render one scene on the CPU at the source's size."""
        index = i + len(self) if i < 0 else i
        if not 0 <= index < len(self):
            raise IndexError(f"scene {i} is outside {self.name} with {len(self)} scenes")
        batch = self.batch([index], None, "cpu")
        if batch.depth is None:
            return Sample(id=batch.ids[0], image=batch.image[0])
        assert batch.valid is not None and batch.instances is not None and batch.intrinsics is not None
        return Sample(
            id=batch.ids[0],
            image=batch.image[0],
            depth=batch.depth[0],
            valid=batch.valid[0],
            instances=batch.instances[0],
            intrinsics=batch.intrinsics[0],
        )

    def batch(
        self,
        indices: Sequence[int] | Tensor,
        size: tuple[int, int] | None = None,
        device: torch.device | str = "cpu",
    ) -> Batch:
        """Render scenes straight on a device; size is (height, width), or None for the source's own."""
        import torch

        numbers = torch.as_tensor(indices, dtype=torch.int64)
        if self.world == "noise":
            from kdcli.sources.sim.noise import noise

            return noise(self.seed, numbers, size or self.size, device)
        from kdcli.sources.sim.render import render

        return render(self.world, self.seed, numbers, size or self.size, device, views=self.views)

    def check(self) -> list[Finding]:
        """Say what the source holds; a simulated source has nothing that could be missing."""
        height, width = self.size
        scenes = "endless" if self.count is None else f"{self.count} scenes"
        if self.views is not None:
            walks = "walks" if self.count is None else counted(math.ceil(self.count / self.views), "walk")
            scenes = f"{'endless ' if self.count is None else ''}{walks} through {self.world}, {self.views} views each"
        depth = "no depth" if self.depth_kind is None else "depth in metres"
        message = f"{self.name}: {scenes}, seed {self.seed}, {height}x{width}, {depth}."
        return [Finding(level="info", message=message)]


def _walk(location: str, world: str | None, views: int | None) -> tuple[str, int | None]:
    """Return the world that is looked at, and how many views there are of each scene; None = one of its own."""
    if location != WALKS:
        if world is not None or views is not None:
            given = "world" if world is not None else "views"
            instead = location if location in WALKED else WALKED[0]
            raise SpecError(f"source 'sim': {given}= belongs to walks: write sim:walks,world={instead},views={VIEWS}.")
        return location, None
    if world is None:
        raise SpecError(
            "source 'sim': walks need a world to go through: write sim:walks,world=interiors. "
            f"Choose one of: {', '.join(WALKED)}."
        )
    if world not in WALKED:
        raise SpecError(
            f"source 'sim': nothing walks through world={world}.{nearest(world, WALKED)} "
            f"Choose one of: {', '.join(WALKED)}."
        )
    return world, VIEWS if views is None else _whole("views", views, lowest=2, highest=MOST_SCENES)


def _whole(key: str, value: int | str, lowest: int | None = None, highest: int = 2**63 - 1) -> int:
    """Read a whole number; specs on the command line hold text."""
    try:
        number = int(value)
    except ValueError:
        raise SpecError(f"source 'sim': {key}={value} is not a whole number.") from None
    if lowest is not None and number < lowest:
        raise SpecError(f"source 'sim': {key}={value} is too small, write {lowest} or more.")
    if abs(number) > highest:
        raise SpecError(f"source 'sim': {key}={value} is too large, write {highest} or less, or leave it out.")
    return number


def _parse_size(text: str) -> tuple[int, int]:
    """Read HEIGHTxWIDTH."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise SpecError(f"source 'sim': size={text} is not HEIGHTxWIDTH, for example size=96x128.")
    height, width = int(match[1]), int(match[2])
    if not all(_SMALLEST <= side <= _LARGEST for side in (height, width)):
        raise SpecError(f"source 'sim': size={text} is outside {_SMALLEST}..{_LARGEST} pixels a side.")
    return height, width
