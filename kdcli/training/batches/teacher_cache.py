"""The teacher cache of a stage: opened before anything else, made before the first step, told in the run's manifest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

import torch

from kdcli.cache import Store, key_of, open_store, room_for
from kdcli.config import StageConfig, teachers_of
from kdcli.config.references import STAGE
from kdcli.drafts import clean
from kdcli.errors import ConfigError, DataError
from kdcli.protocols import Source
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.keeping import fill, maps_bytes, memory_maps
from kdcli.training.batches.memory_maps import MEMORY, MemoryMaps
from kdcli.training.batches.order import ENDLESS
from kdcli.training.batches.taught import Reader, Taught, shown_sample
from kdcli.types import Batch

NOTE_SECONDS = 10.0
"""How often progress is written down on the way: a killed process loses no map, only looks at some once more."""
SAMPLED = 8
"""Images looked at before a cache that says it is whole is believed; every other is checked when it is read."""

Told = Callable[[str, int, int], None]


def cacheable(stage: StageConfig, teachers: dict[str, Any]) -> dict[str, Any]:
    """Return the teachers by name whose depth can be kept.

    Those that answer from the image, not from the data beside it, and that are what they will be: not the results of
    earlier stages of the same run.
    """
    specs = teachers_of(stage)
    return {
        name: teacher for name, teacher in teachers.items()
        if not hasattr(teacher, "from_batch") and not specs.get(name, name).startswith(STAGE)
    }


def open_cache(
    stage: StageConfig, source: Source, teachers: dict[str, Any], device: torch.device
) -> Taught | MemoryMaps | None:
    """Return a stage's cache, not made yet; None where it has none, or only teachers that answer from the data.

    One in memory is none where it would not save time.

    Raises:
        ConfigError: an endless source, a folder that does not fit, or a disk without room. DataError: a damaged folder.
    """
    kept = cacheable(stage, teachers) if stage.teacher_cache != "none" else {}
    if not kept:
        return None
    if stage.teacher_cache == MEMORY:
        return memory_maps(stage, source, kept, device)
    if len(source) >= ENDLESS:
        raise ConfigError(
            f"teacher_cache={stage.teacher_cache} of stage '{stage.name}' never meets an image of '{stage.data}' "
            "again: it is endless; write count=N in its spec, or teacher_cache=none"
        )
    specs = teachers_of(stage)
    stores = tuple(
        open_store(
            stage.teacher_cache,
            key_of(specs.get(name, name), teacher, stage.size, flip=stage.teacher_flip, storage=stage.teacher_storage),
            source=source.name, alone=len(kept) == 1,
        )
        for name, teacher in kept.items()
    )
    for store in stores:
        _require_images(store, source)
    room_for([(store, left(store, stage, source)) for store in stores])
    return Taught(reader=Reader(stores=stores, size=stage.size), teachers=kept, device=device)


def left(store: Store, stage: StageConfig, source: Source) -> int:
    """Return how many of a source's maps are not known to be there."""
    return max(len(source) - int(store.done(stage.data, len(source))["done"]), 0)


def make(
    cache: Taught | MemoryMaps, stage: StageConfig, feed: Feed, told: Told, *, everything: bool = False
) -> dict[str, Any]:
    """Make the maps that are missing, in the source's order, and return what the run's manifest says of the cache.

    It goes on after the images that are known to be done, unless ``everything`` is to be looked at or some of these are
    not what they were. ``feed`` gives the stage's images with this cache.

    Raises:
        DataError: as ``Taught.complete``. OSError: the disk. KeyboardInterrupt: what was made is kept.
    """
    if isinstance(cache, MemoryMaps):
        return _make_in_memory(cache, feed, told)
    stores, count = cache.reader.stores, len(feed.source)
    rows = [store.done(stage.data, count) for store in stores]
    begin = int(rows[0]["done"])
    level = all(row["done"] == begin for row in rows)
    if everything or not level or not _believable(cache, feed, begin):
        begin, rows = 0, [{"count": count, "done": 0, "sha256": ""} for _ in stores]
    cache.made = cache.read = 0
    size, noted = stage.batch_size, time.monotonic()
    chosen = [range(first, min(first + size, count)) for first in range(begin, count, size)]
    if not everything and not all(store.writable for store in stores):
        chosen = []  # maps of somebody else are read, and checked, as they are needed
    if chosen:
        for store in stores:
            if store.writable and store.path.is_dir():
                clean(store.path)
        _note(cache, stage, rows)  # before the first map, so that an interrupted folder is known for what it is
    try:
        for indices, batch in zip(chosen, feed.batches_of(chosen), strict=True):
            _count(batch, rows, indices.stop)
            told("teacher maps", indices.stop, count)
            if time.monotonic() - noted > NOTE_SECONDS:
                _note(cache, stage, rows)
                noted = time.monotonic()
    finally:
        if chosen:
            _note(cache, stage, rows)
    caches = [{**store.document(), "maps_sha256": row["sha256"]} for store, row in zip(stores, rows, strict=True)]
    total = count * len(stores)
    made, cache.made = cache.made, 0
    return {"images": count, "maps": total, "made": made, "reused": total - made, "caches": caches}


def _make_in_memory(cache: MemoryMaps, feed: Feed, told: Told) -> dict[str, Any]:
    count = len(feed.source)
    if len(cache.maps) < count:
        fill(cache, feed, told)
    total = count * len(cache.teachers)
    made, cache.made = cache.made, 0
    return {"images": count, "maps": total, "made": made, "reused": total - made, "caches": [cache.document()]}


def cost(cache: Taught | MemoryMaps, stage: StageConfig, source: Source) -> dict[str, Any]:
    """Return where maps are kept, of how many images they are missing, and the most bytes that these take."""
    if isinstance(cache, MemoryMaps):
        folders, missing = [MEMORY], len(source) - len(cache.maps)
        wanted = missing * maps_bytes(stage, len(cache.teachers))
    else:
        stores = [(store, left(store, stage, source)) for store in cache.reader.stores]
        folders, missing = [str(store.path) for store, _ in stores], max(count for _, count in stores)
        wanted = sum(store.bytes_for(count) for store, count in stores)
    return {"folders": folders, "images": len(source), "missing": missing, "bytes": wanted}


def _count(batch: Batch, rows: list[dict[str, Any]], done: int) -> None:
    """Carry the hash over all maps so far: image by image, so that it does not depend on the size of batches."""
    assert batch.taught is not None
    maps = batch.taught.cpu()
    for number, row in enumerate(rows):
        for grid in maps[:, number]:
            row["sha256"] = hashlib.sha256(row["sha256"].encode() + grid.contiguous().numpy().tobytes()).hexdigest()
        row["done"] = done


def _note(cache: Taught, stage: StageConfig, rows: list[dict[str, Any]]) -> None:
    for store, row in zip(cache.reader.stores, rows, strict=True):
        store.note(stage.data, row)


def _believable(cache: Taught, feed: Feed, done: int) -> bool:
    """Look at a few of the images that are said to be done."""
    some = sorted({round(i * (done - 1) / (SAMPLED - 1)) for i in range(SAMPLED)}) if done else []
    if hasattr(feed.source, "batch"):
        return all(bool(torch.isfinite(maps).all()) for maps in _rendered(cache, feed, some))
    return all(bool(torch.isfinite(cache.reader(feed.source[index])).all()) for index in some)


def _rendered(cache: Taught, feed: Feed, indices: list[int]) -> list[torch.Tensor]:
    if not indices:
        return []
    return [cache.reader.read(image) for image in cache.recognise(feed.rendered(indices), indices)]


def _require_images(store: Store, source: Source) -> None:
    """Refuse a folder of somebody else that lacks images, where the source tells their names without reading them.

    Raises:
        DataError: it does.
    """
    pairs = getattr(source, "pairs", None)
    if store.writable:
        return
    if pairs is None:
        store.look(shown_sample(source[0]))
        return
    missing = [pair.id for pair in pairs if not store.has(pair.id)]
    if missing:
        raise DataError(
            f"'{store.path}' has no map of {len(missing)} of the {len(pairs)} images, such as '{missing[0]}'; use the "
            "images that it was made for, or make another with: kdcli cache --layout gt-kd"
        )
    store.look(shown_sample(source[0]))
