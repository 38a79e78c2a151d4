"""``kdcli cache``: make or look through a folder of a teacher's maps, without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from kdcli.cache import Store
from kdcli.config import RunConfig, StageConfig
from kdcli.errors import ConfigError, DataError
from kdcli.sources.image_size import native_size
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.taught import Taught, shown_sample
from kdcli.training.batches.teacher_cache import make
from kdcli.training.run.workshop import Workshop


def cache_set(
    teacher: str, data: str, out: Path | Literal["auto"], *, size: tuple[int, int] | None = None,
    layout: Literal["kdcli", "gt-kd"] = "kdcli", max_depth: float | None = None,
    flip: bool | None = None, storage: Literal["auto", "png16", "float16", "float32"] = "auto", batch_size: int = 8,
    workers: int | Literal["auto"] = "auto", verify: bool = False, device: torch.device | str = "cpu",
    told: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Make what is missing of a teacher's maps on a source, or with ``verify`` only look at all of them.

    size: of the images; by default that of the first. flip: None = as the teacher's ``read_out``. max_depth: metres of
    the greatest number in the layout of TIE-KD's authors. Every image and every map that is there is read.

    Returns the document of ``teacher_cache`` in a run's manifest, with ``bytes``.

    Raises:
        ConfigError: a teacher that answers from the data, an endless source, a folder or a disk that does not fit.
        DataError: with ``verify``, maps that are missing, broken or not of these images; else as making them.
    """
    where = str(out) if layout == "kdcli" else f"gt-kd:{out}" + ("" if max_depth is None else f",max_depth={max_depth}")
    if layout == "kdcli" and max_depth is not None:
        raise ConfigError(f"--max-depth {max_depth:g} belongs to --layout gt-kd; leave it out")
    if layout == "gt-kd" and storage not in ("auto", "png16"):
        raise ConfigError(f"--storage {storage} does not go with --layout gt-kd, which is 16-bit PNG; leave it out")
    stage = StageConfig(
        name="cache", data=data, teachers=(teacher,), steps=1, batch_size=batch_size, workers=workers,
        size=size or (96, 128), teacher_cache=where, teacher_storage=storage,
        teacher_flip="auto" if flip is None else "true" if flip else "false",
    )
    shop = Workshop(config=RunConfig(recipe="cache", stages=(stage,)), device=torch.device(device))
    if size is None:
        stage = replace(stage, size=native_size(shop.source(data)))
    cache = shop.taught(stage)
    if not isinstance(cache, Taught):
        raise ConfigError(f"teacher '{teacher}' answers from the data, not from the image: there is nothing to keep")
    feed, store = shop.feed(stage, cache), cache.reader.stores[0]
    hear = told or (lambda what, done, total: None)
    if verify:
        _verify(cache, store, feed, hear)
        count = len(feed.source)
        made = {"images": count, "maps": count, "made": 0, "reused": count, "caches": [store.document()]}
    else:
        made = make(cache, stage, feed, hear, everything=True)
    return {**made, "bytes": sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file())}


def _verify(cache: Taught, store: Store, feed: Feed, told: Callable[[str, int, int], None]) -> None:
    """Read every image and its map.

    Raises:
        DataError: some are not right; the message names the first of them.
    """
    source, bad, renders = feed.source, [], hasattr(feed.source, "batch")
    for index in range(len(source)):
        if renders:
            (image,) = cache.recognise(feed.rendered([index]), [index])
        else:
            image = shown_sample(source[index])
        try:
            store.look(image)
        except DataError as error:
            bad.append(str(error))
        told("checked", index + 1, len(source))
    if bad:
        raise DataError(
            f"{len(bad)} of {len(source)} maps in '{store.path}' are missing or not sound; run kdcli cache without "
            f"--verify to make them again; first: {bad[0]}"
        )
