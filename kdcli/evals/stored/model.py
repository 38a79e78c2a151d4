"""``predictions:DIR``: what a tool wrote, in the place of a network."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kdcli.codecs import BY_TYPE
from kdcli.errors import ConfigError, DataError
from kdcli.evals.stored.doubts import Doubts
from kdcli.evals.stored.files import Found, Stored, find_predictions
from kdcli.evals.stored.matching import By, match, without_ending
from kdcli.evals.stored.reading import Encoding, encoding_of, read
from kdcli.rasters import ending_of
from kdcli.spec import bind, parse, parse_size
from kdcli.text import agreeing
from kdcli.types import Batch, DepthKind, Prediction, Tap

NAME = "predictions"
"""How the command line addresses it, before the colon."""

_OF_ARRAYS = (".npz", ".exr", ".h5", ".hdf5")
"""Endings of files that may hold several arrays."""

Kind = Literal["metric", "scale_invariant", "affine_depth", "affine_disparity"]


class Predictions(nn.Module):
    """Answer for each image with what lies in a folder, or in an NPY file of N x H x W (in the order of the source).

    Files are PNG, TIFF or PGM of 16 bits and more, NPY, NPZ, PFM, EXR, DPT, or floats without a header; of those of
    ``kdcli predict`` nothing has to be said. kind: what the numbers mean. codec: a row of ``kdcli.codecs``. scale:
    stored units per metre. size: HxW of files without a header. key: array of an NPZ, EXR or HDF5 file. of: whether
    maps are of the whole picture or of the cut that a protocol makes; None: of the picture, unless their size leaves a
    doubt. by: they belong to images by name, or in natural order of their names. focal_baseline: pixels times metres,
    which turns disparity into metres.
    """

    outside_work = True
    taps: MappingProxyType[str, Tap] = MappingProxyType({})

    def __init__(
        self, *, location: str, kind: Kind | None = None, codec: str | None = None, scale: float | None = None,
        size: str | None = None, key: str | None = None, of: Literal["picture", "cut"] | None = None,
        by: By = "name", focal_baseline: float | None = None,
    ) -> None:
        super().__init__()
        if not location:
            raise ConfigError(f"{NAME}: lacks the folder; write {NAME}:DIR")
        self.where, self.of, self._by = location, of, by
        asked = None if kind is None else DepthKind(kind)
        shape = None if size is None else parse_size(size)
        given = [f"{name}=" for name, one in (("kind", kind), ("codec", codec), ("scale", scale), ("size", size),
                                              ("key", key)) if one is not None]  # fmt: skip
        how = encoding_of(location, asked, codec, scale, shape, key, focal_baseline) if given else None
        self._found: Found = find_predictions(location, BY_TYPE if how is None else how.codec)
        self._how = self._agreed(how, given)
        self.depth_kind = self._how.kind
        self.depth_range = (0.0, float("inf"))
        self._of: dict[str, Stored] | None = None
        self._missing = 0
        self._wrong: dict[str, str] = {}
        self._holes = self._pixels = 0
        self.doubts = Doubts()

    def _agreed(self, how: Encoding | None, given: list[str]) -> Encoding:
        if self._found.kind is not None:
            if given:
                raise ConfigError(
                    f"'{self.where}' was written by kdcli predict, which says itself that it is {self._found.kind}; "
                    f"leave out {', '.join(given)}"
                )
            return Encoding(kind=self._found.kind)
        made = how or encoding_of(self.where, None, None, None, None, None, None)
        first = next(iter(self._found.files.values()))
        try:  # what holds for one file mostly holds for all: said before anything is measured
            read(first, made)
        except DataError as error:
            several = made.codec.key is None and ending_of(first.path) in _OF_ARRAYS
            advice = "; key= says which array is meant" if several else ""
            endings = sorted({ending_of(one.path) for one in self._found.files.values()})
            if len(endings) > 1:
                advice = (f"; the folder has {', '.join(endings)}: codec= takes only those of its own, such as "
                          "codec=metres or disparity floats")
            raise DataError(f"the first prediction cannot be used: {error}{advice}") from None
        return made

    def match(self, source: Any) -> None:
        """Find out which prediction belongs to which image of a source.

        Raises:
            DataError: not one does, or by order their numbers differ.
        """
        self._of = match(source, self._found.files, self._by, self.where) if hasattr(source, "pairs") else None
        self._missing = 0 if self._of is None else len(source) - len(self._of)
        if self._of is None and self._by == "order":
            raise DataError(f"by=order needs a source of files, which '{getattr(source, 'name', source)}' is not")
        self._wrong.clear()
        self._holes = self._pixels = 0
        self.doubts = Doubts()

    def from_batch(self, batch: Batch) -> Prediction:
        """Return what the file of the one image of a batch holds, at its size; none valid where there is none.

        What becomes of it once it has the size of the picture, ``depth_of`` says.

        Raises:
            ConfigError: several images, whose files may have several sizes.
        """
        if len(batch) != 1:
            raise ConfigError(f"{NAME} answers for one image at a time, not for {len(batch)}")
        depth, valid = self._read(batch.ids[0])
        self._holes += int((~valid).sum())
        self._pixels += valid.numel()
        depth, valid = (one[None].to(batch.image.device) for one in (depth, valid))
        return Prediction(depth=depth, kind=self.depth_kind, valid=None if bool(valid.all()) else valid)

    def depth_of(self, values: Tensor) -> Tensor:
        """Return what the files' numbers mean that were brought to the size of a picture."""
        return self._how.depth(values)

    def _read(self, image_id: str) -> tuple[Tensor, Tensor]:
        # Of a source without files nobody knows what else is called similarly: there names have to be equal.
        mine = self._found.files.get(without_ending(image_id)) if self._of is None else self._of.get(image_id)
        try:
            if mine is None:
                raise DataError(f"there is no prediction of it in '{self.where}'")
            return read(mine, self._how)
        except DataError as error:
            self._wrong[image_id] = str(error)
        nothing = torch.zeros(1, 1, 1)
        return nothing, nothing > 0

    def lacking(self, image_id: str) -> str | None:
        """Return why there is no prediction of an image that was asked for; None where there is one."""
        return self._wrong.get(image_id)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers has to know; ``{}`` stands for the model's name."""
        said = []
        if self._wrong:
            lost = agreeing(len(self._wrong), "images have no prediction that can be used and are skipped")
            said.append(f"warning: {{}}: {lost}")
        if self._holes > len(self._wrong):
            share = 100 * self._holes / self._pixels
            said.append(f"warning: {{}}: {share:.2g} % of its pixels hold no number; they are not measured, so that "
                        "others are measured on more")
        unused = 0 if self._of is None else len(self._found.files) - len({id(one) for one in self._of.values()})
        if unused and self._wrong:
            as_many = self._of is not None and len(self._found.files) == len(self._of) + self._missing
            order = "; they are as many as the images: where they are only counted otherwise, add by=order"
            said.append(f"warning: {{}}: {unused} of {len(self._found.files)} files belong to no image"
                        f"{order if as_many else ''}")
        return (*said, *self.doubts.notes(self.depth_kind, self._units))

    @property
    def _units(self) -> float | None:
        """Stored units per metre that were taken; None where scale= is not what would change them."""
        if self._found.kind is not None or self._how.inverse:
            return None
        first = next(iter(self._found.files.values())).path
        # Whole numbers without a stated unit name one themselves; floats are metres.
        return self._how.units or (None if ending_of(first) in (".png", ".pgm") else 1.0)

    def forward(self, image: Tensor) -> Prediction:
        """Refuse: an image alone does not tell which file is meant.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"'{NAME}:{self.where}' answers for images of a source by their names, not for {len(image)} alone"
        )


def is_stored(text: str) -> bool:
    """Whether a MODEL argument names a folder of predictions."""
    return text.partition(":")[0] == NAME and ":" in text


def load_predictions(text: str) -> Predictions:
    """Return the model of ``predictions:DIR[,key=value...]``.

    Raises:
        SpecError: an unknown key. ConfigError, DataError: as of ``Predictions``.
    """
    return Predictions(**bind(parse(text), Predictions))
