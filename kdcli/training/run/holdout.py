"""The images that a run never trains on: no stage of it, its twin neither, and no cache of a teacher's depth.

The run's key ``holdout`` gives the share of the main stage's images. Other stages may name the same images by another
spec; what is held out is left out there too, told by its files, or by seed and number where a source renders.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdcli.config import RunConfig, StageConfig
from kdcli.errors import ConfigError, DataError
from kdcli.protocols import Source
from kdcli.rasters import Place, file_of
from kdcli.sources.splitting import split
from kdcli.sources.subset import Subset, subset
from kdcli.training.batches.order import ENDLESS
from kdcli.training.batches.render_cache import source_key

MEASURED = 2000
"""Most held-out images that models are measured on, evenly chosen: more would hardly narrow an interval."""


class Holdout:
    """What is held out of the main stage's images, and what that leaves to each stage."""

    def __init__(self, config: RunConfig, source: Callable[[str], Source]) -> None:
        """source: builds the source of a spec, each once.

        Raises:
            ConfigError: images without end, too few of them, or no folders to tell apart.
        """
        self._source, self._main = source, config.main.data
        self._share, self._by = config.holdout, config.holdout_by
        whole = source(self._main)
        if len(whole) >= ENDLESS:
            raise ConfigError(f"holdout={self._share:g} of '{self._main}', which is endless; write count=N in its spec")
        self._split = split(whole, self._main, self._share, self._by)
        kept = self._split.training
        if hasattr(whole, "member"):  # its other source may have the same images
            held = {identity(whole, i) for i in self._split.held_out}
            kept = array("q", (i for i in kept if identity(whole, i) not in held))
            self._split = replace(self._split, training=kept)
        self._check_shares(whole, kept, self._main)
        self._left: dict[str, Source] = {self._main: subset(whole, kept)}

    @property
    def images(self) -> Subset:
        """The held-out images."""
        return subset(self._source(self._main), self._split.held_out)

    @property
    def measured(self) -> Subset:
        """Those of them that models are measured on."""
        held = self._split.held_out
        number = min(len(held), MEASURED)
        return subset(self._source(self._main), (held[i * len(held) // number] for i in range(number)))

    def training(self, stage: StageConfig) -> Source:
        """Return the source of a stage without the held-out images.

        Raises:
            ConfigError: nothing is left, or nobody can tell whether they are among its images.
        """
        if stage.data not in self._left:
            self._left[stage.data] = self._without(stage)
        return self._left[stage.data]

    def document(self) -> dict[str, Any]:
        """Return what the run's manifest says of it."""
        told = self._split.document(self._source(self._main))
        return {"data": self._main, "share": self._share, "by": self._by, **told}

    def check_unchanged(self, before: Mapping[str, Any], run: Path) -> None:
        """Check that a run which goes on has the images with which it began.

        Raises:
            DataError: it has others: what is held out now may have been trained on.
        """
        now = self.document()
        if before.get("sha256") != now["sha256"]:
            raise DataError(
                f"the images of '{self._main}' are not those with which run '{run}' began ({before.get('images')} "
                f"then, {now['images']} now): held-out ones may have been trained on; put them back, or start another"
            )

    def _endless(self, stage: StageConfig) -> ConfigError:
        return ConfigError(
            f"stage '{stage.name}' takes '{stage.data}', which is endless and has images that "
            f"holdout={self._share:g} holds out; write count=N in its spec, or another seed"
        )

    def _without(self, stage: StageConfig) -> Source:
        whole, other = self._source(self._main), self._source(stage.data)
        held = self._split.held_out
        if hasattr(whole, "member") or hasattr(other, "member"):
            if len(other) >= ENDLESS:
                raise self._endless(stage)
            gone = {identity(whole, i) for i in held}
            kept = [i for i in range(len(other)) if identity(other, i) not in gone]
        elif hasattr(whole, "pairs") and hasattr(other, "pairs"):
            files = {_file(whole.pairs[i].image) for i in held}
            kept = [i for i, pair in enumerate(other.pairs) if _file(pair.image) not in files]
        elif hasattr(whole, "batch") and hasattr(other, "batch"):
            if source_key(whole) != source_key(other):
                return other
            numbers = set(held)
            if len(other) >= ENDLESS:
                raise self._endless(stage)
            kept = [i for i in range(len(other)) if i not in numbers]
        elif type(whole) is not type(other):
            return other
        else:
            raise ConfigError(
                f"holdout={self._share:g}: whether '{stage.data}' of stage '{stage.name}' has images that are held out "
                f"of '{self._main}' cannot be told; give both stages the same data, or leave holdout out"
            )
        if not kept:
            raise ConfigError(
                f"holdout={self._share:g} leaves no image of '{stage.data}' to stage '{stage.name}': all of them are "
                f"held out of '{self._main}'; give it other data"
            )
        self._check_shares(other, kept, stage.data)
        return other if len(kept) == len(other) else subset(other, kept)

    def _check_shares(self, source: Any, kept: Iterable[int], spec: str) -> None:
        """Check that each part of a mix keeps images: its share of every batch would be gone without a word.

        Raises:
            ConfigError: a part has none.
        """
        if not hasattr(source, "part_of"):
            return
        gone = {source.part_of(i) for i in range(len(source))} - {source.part_of(i) for i in kept}
        if gone:
            raise ConfigError(
                f"holdout={self._share:g} leaves no image of the {('first', 'second')[gone.pop()]} source of '{spec}', "
                "which has a share of every batch; hold out less of it, or give it more images"
            )


def identity(source: Any, index: int) -> object:
    """Return what tells an image apart, whichever source names it: its file, or seed and number where it is rendered.

    Of other sources it is the place in the source of that name.
    """
    while hasattr(source, "member"):
        source, index = source.member(index)
    if hasattr(source, "pairs"):
        return _file(source.pairs[index].image)
    return (source_key(source), index)


def _file(place: Place) -> object:
    """Return what tells a file apart under whatever names it has; the path itself where there is none.

    What lies in a file with others is told apart by its name in there too.
    """
    path = file_of(place)
    try:
        found = path.stat()
    except OSError:
        return str(place)
    if place is path:
        return (found.st_dev, found.st_ino)
    return (found.st_dev, found.st_ino, str(place).removeprefix(str(path)))
