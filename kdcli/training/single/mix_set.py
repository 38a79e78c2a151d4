"""``kdcli mix``: a set of mixed images on disk, the same bytes for the same parameters, made further where it stopped.

::

    manifest.json        parameters, versions, the source's id of each image, and of each image whose parts it was given
                         (one donor a mixer that takes partners) and the sha256 of its file
    images/000000.png    8-bit RGB
    instances/000000.png 16-bit ids, 0 = no object (where the source has objects)
    depth/000000.png     16-bit millimetres, 0 = none (where depth still holds after mixing)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kdcli.config.sizes import MOST_IMAGES
from kdcli.documents import Each, read_json
from kdcli.drafts import clean
from kdcli.errors import ConfigError, DataError
from kdcli.files import require_writable, sha256_of, write_json
from kdcli.images import ids_within_16_bits, write_depth_png, write_image, write_units_png
from kdcli.locks import NAME as LOCK
from kdcli.locks import owned
from kdcli.protocols import Mixer
from kdcli.sources import load_source
from kdcli.sources.image_size import native_size
from kdcli.training.batches.feed import Feed
from kdcli.training.seeds import seed_of
from kdcli.training.step.mixing import apply, build_mixers, mix_step
from kdcli.types import Batch
from kdcli.version import __version__

FORMAT = "kdcli.mix/1"
_MANIFEST = {
    "format": str, "parameters": Each(Any), "images": Each(str),
    "made?": Each({"donors": [str], "sha256": str}),
}
BATCH = 16
"""Images that are mixed with each other at a time. Part of what a set is: other batches have other partners."""
DEEPEST = 65.0
"""Metres that fit 16 bits of millimetres; what is farther is left out."""
OUTLINE = (1.0, 0.2, 0.6)
"""Colour around pasted objects in the preview."""
NOTE_SECONDS = 10.0
"""How often the manifest is written on the way: a killed call loses no more than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Where one image comes from."""

    id: str
    donors: tuple[str, ...]
    """Ids of the images that parts were taken from, one a mixer that takes partners, in order."""
    sha256: str
    """Of the image's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixReport:
    """What a call did."""

    out: Path
    count: int
    made: int
    kept: int
    """Images that were there from an earlier call with the same parameters."""
    size: tuple[int, int]
    preview: Path | None

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        preview = None if self.preview is None else str(self.preview)
        return {
            "out": str(self.out), "count": self.count, "made": self.made, "kept": self.kept, "size": list(self.size),
            "preview": preview,
        }


def mix_set(
    data: str, mixers: Sequence[str], *, count: int, out: Path, size: tuple[int, int] | None = None, seed: int = 0,
    device: torch.device | str = "cpu", preview: Path | None = None,
    told: Callable[[str, int, int], None] | None = None,
) -> MixReport:
    """Write ``count`` mixed images. Size defaults to that of the source's first image.

    A folder of the same parameters is completed (also to a larger count); files that are there are kept.

    Raises:
        ConfigError: the folder holds something else or a set of other parameters, or the mixer does not fit the source.
        DataError, PluginError: the source or a mixer cannot be used.
    """
    if not 1 <= count <= MOST_IMAGES:
        raise ConfigError(f"--count {count} must lie in 1..{MOST_IMAGES:,}")
    for path in (out / "manifest.json", preview):
        if path is not None:
            require_writable(path)
    source, built = load_source(data), build_mixers(mixers, seed)
    size = size or native_size(source)
    parameters = {"data": data, "mixers": list(mixers), "size": list(size), "seed": seed, "batch": BATCH}
    _resume(out, parameters)
    feed = Feed(source, batch_size=BATCH, size=size, seed=seed_of(seed, "mix"), device=torch.device(device))
    with owned(out):
        made = _make(feed, built, count=count, out=out, seed=seed, parameters=parameters, told=told)
    if preview is not None:
        _write_preview(preview, *_batch(feed, built, seed, 0)[:2], count)
    return MixReport(out=out, count=count, made=made, kept=count - made, size=size, preview=preview)


def _make(
    feed: Feed, built: Sequence[Mixer], *, count: int, out: Path, seed: int, parameters: dict[str, Any],
    told: Callable[[str, int, int], None] | None,
) -> int:
    """Make what is missing and return how much that was."""
    known = _resume(out, parameters)
    clean(out)
    made, noted = 0, time.monotonic()
    try:
        for step in range(-(-count // BATCH)):
            numbers = range(step * BATCH, min((step + 1) * BATCH, count))
            missing = [n for n in numbers if n not in known or not _image(out, n).is_file()]
            if missing:
                plain, batch, givers = _batch(feed, built, seed, step)
                if not known:
                    # Before the first image, so that an interrupted set is known for what it is.
                    _write_manifest(out, parameters, {})
                for number in missing:
                    position = number - step * BATCH
                    _write(out, number, batch, position)
                    known[number] = Made(
                        id=batch.ids[position], donors=tuple(plain.ids[giver[position]] for giver in givers),
                        sha256=sha256_of(_image(out, number)),
                    )
                made += len(missing)
                if time.monotonic() - noted > NOTE_SECONDS:
                    _write_manifest(out, parameters, known)
                    noted = time.monotonic()
            if told is not None:
                told("mixed", numbers[-1] + 1, count)
    finally:
        # Also when interrupted: the next call then keeps what is there.
        if made:
            _write_manifest(out, parameters, known)
    return made


def _batch(
    feed: Feed, mixers: Sequence[Mixer], seed: int, step: int
) -> tuple[Batch, Batch, list[list[int]]]:
    """Return a batch before and after mixing, and the positions of the partners of each mixer that takes some."""
    plain = next(feed.batches(step, step + 1))
    context = mix_step(plain, seed=seed, stage="mix", step=step, total=1)
    after = apply(plain, mixers, context)
    return plain, after, [value.tolist() for name, value in context.notes if name == "partners"]


def _image(out: Path, number: int) -> Path:
    return out / "images" / f"{number:06d}.png"


def _write(out: Path, number: int, batch: Batch, position: int) -> None:
    """Write the maps first and the image last: an image that is there has all its maps."""
    name = f"{number:06d}.png"
    if batch.instances is not None:
        write_units_png(out / "instances" / name, ids_within_16_bits(batch.instances[position]))
    if batch.depth is not None:
        depth = batch.depth[position]
        valid = depth <= DEEPEST
        if batch.valid is not None:
            valid = valid & batch.valid[position]
        write_depth_png(out / "depth" / name, depth, valid=valid)
    write_image(_image(out, number), batch.image[position])


def _resume(out: Path, parameters: dict[str, Any]) -> dict[int, Made]:
    """Return what is known of the images that are there.

    Raises:
        ConfigError: the folder holds something else. DataError: its manifest is damaged.
    """
    if not out.exists() or (out.is_dir() and all(path.name == LOCK for path in out.iterdir())):
        return {}
    if not (out / "manifest.json").is_file():
        raise ConfigError(f"'{out}' already holds something that is no mixed set; use another --out")
    manifest = read_json(out / "manifest.json", _MANIFEST, "use another --out, or delete that set")
    if manifest["format"] != FORMAT:
        raise ConfigError(f"'{out}' holds a set of format {manifest['format'][:40]}, not {FORMAT}; use another --out")
    known, ids = manifest["parameters"], manifest["images"]
    # Sets of 0.1 say less: their images are made again, with the same bytes.
    told = manifest.get("made", {})
    for number in told:
        if number not in ids or not number.isascii() or not number.isdigit():
            raise DataError(f"'{out / 'manifest.json'}' is damaged: made.{number[:40]} is no image; use another --out")
    made = {
        int(number): Made(id=ids[number], donors=tuple(entry["donors"]), sha256=entry["sha256"])
        for number, entry in told.items()
    }
    for key, value in parameters.items():
        if known.get(key) != value:
            raise ConfigError(f"'{out}' holds a set made with {key}={known.get(key)}, not {value}; use another --out")
    return made


def _write_manifest(out: Path, parameters: dict[str, Any], made: dict[int, Made]) -> None:
    ordered = {str(number): made[number] for number in sorted(made)}
    write_json(out / "manifest.json", {
        "format": FORMAT, "parameters": parameters, "count": len(ordered),
        "versions": {"kdcli": __version__, "torch": torch.__version__, "numpy": np.__version__},
        "images": {number: entry.id for number, entry in ordered.items()},
        "made": {
            number: {"donors": list(entry.donors), "sha256": entry.sha256} for number, entry in ordered.items()
        },
    })


def _write_preview(path: Path, plain: Batch, after: Batch, count: int) -> None:
    """Write pairs of rows: images as they came above the same images after mixing, pasted objects outlined."""
    shown = min(len(after), count, 12)
    columns = min(shown, 6)
    height, width = after.image.shape[-2:]
    rows = -(-shown // columns)
    canvas = torch.ones(3, rows * 2 * (height + 4) - 4, columns * (width + 4) - 4)
    below = _outlined(plain, after).cpu().float()
    for i in range(shown):
        left, top = (i % columns) * (width + 4), (i // columns) * 2 * (height + 4)
        for offset, images in ((0, plain.image), (height + 4, below)):
            canvas[:, top + offset : top + offset + height, left : left + width] = images[i].cpu().float()
    write_image(path, canvas)


def _outlined(plain: Batch, after: Batch) -> Tensor:
    """Return the mixed images with the border pixels of pasted objects in one colour; as they are without ids."""
    if plain.instances is None or after.instances is None:
        return after.image
    ids = torch.where(after.instances != plain.instances, after.instances, 0)
    around = functional.pad(ids[:, None].double(), (1, 1, 1, 1), mode="replicate")[:, 0]
    edge = torch.zeros_like(ids, dtype=torch.bool)
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        edge |= around[:, down : down + ids.shape[1], right : right + ids.shape[2]] != ids
    return torch.where((edge & (ids > 0))[:, None], after.image.new_tensor(OUTLINE).view(3, 1, 1), after.image)
