"""What encoders begin with: pretrained weights of timm's models, looked for once in a run, read, and what they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import timm
import torch
from torch import Tensor

from kdcli.errors import WeightsError
from kdcli.files import sha256_of
from kdcli.networks import lite0
from kdcli.networks.encoder_files import EncoderFile, NotToBeHad, fetch, file_of, places
from kdcli.remarks import remark
from kdcli.types import Pretrained, Provenance
from kdcli.weights import Entry, read_weights
from kdcli.weights.state import fitting

_LAYOUTS = {"efficientnet-lite0-imagenet": lite0.to_timm}
"""How names become timm's, by names of the table of weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderWeights:
    """Pretrained weights of one of timm's models."""

    state: Mapping[str, Tensor]
    """Tensors by timm's names, on the CPU."""
    origin: Provenance


@dataclass(kw_only=True)
class Encoders:
    """Pretrained weights that a run asked for. Each are looked for once, so that all of its networks, the twin's too,
    begin with the same."""

    pinned: Mapping[str, str] | None = None
    """timm's name -> sha256, of a run that goes on: what it began with. ``auto`` takes no others then."""
    _found: dict[str, EncoderWeights | None] = field(default_factory=dict)
    _used: list[EncoderWeights] = field(default_factory=list)

    @property
    def taken(self) -> dict[str, str]:
        """timm's name -> sha256 of the weights that were had."""
        return {name: str(found.origin.sha256) for name, found in self._found.items() if found is not None}

    @contextmanager
    def building(self) -> Iterator[list[EncoderWeights]]:
        """Be the one that networks ask which are built in the block; give what they began with."""
        outer, self._used = self._used, []
        _asked.append(self)
        try:
            yield self._used
        finally:
            _asked.pop()
            self._used = outer

    def weights(self, name: str, pretrained: Pretrained) -> EncoderWeights | None:
        """Return what an encoder begins with; None for a random start.

        Raises:
            WeightsError: ``pretrained`` is true and there are no weights or they cannot be had; whatever it is, a file
                that is there cannot be read or is of something else.
        """
        if not pretrained:
            return None
        wanted = file_of(name)
        known = name if wanted is None else wanted.name
        if self._found.get(known) is None and not (pretrained == "auto" and known in self._found):
            self._found[known] = self._look(name, wanted, pretrained)
        if (found := self._found[known]) is not None and all(found is not used for used in self._used):
            self._used.append(found)
        return found

    def _look(self, name: str, wanted: EncoderFile | None, pretrained: Pretrained) -> EncoderWeights | None:
        if pretrained == "auto" and self.pinned is not None and (wanted is None or wanted.name not in self.pinned):
            return None
        try:
            if wanted is None:
                raise NotToBeHad(f"there are no pretrained weights of timm's '{name}'", "use another backbone or width")
            path, terms = self._file(wanted)
        except NotToBeHad as error:
            if pretrained != "auto":
                raise WeightsError(f"{error}, or use pretrained=false") from error
            remark(f"the encoder begins at random: {error}")
            return None
        return _read(wanted, path, terms)

    def _file(self, wanted: EncoderFile) -> tuple[Path, Entry]:
        """Return the file to take: the first that is here, or the one that a run which goes on began with."""
        pin = None if self.pinned is None else self.pinned.get(wanted.name)
        for path, terms in places(wanted):
            if pin is None or sha256_of(path) == pin:
                return path, terms
        path = fetch(wanted)
        if pin is not None and sha256_of(path) != pin:
            raise WeightsError(
                f"the run began with pretrained weights of '{wanted.name}' that are no longer here (sha256 {pin}); "
                f"put that file in {path.parent} as {path.name}, or start another run"
            )
        return path, wanted


_asked: list[Encoders] = []
"""Whom to ask now; the last counts."""


def encoder_weights(name: str, pretrained: Pretrained) -> EncoderWeights | None:
    """Return what an encoder of a model of timm begins with; None for a random start.

    Raises:
        WeightsError: as ``Encoders.weights``.
    """
    return (_asked[-1] if _asked else Encoders()).weights(name, pretrained)


def _read(wanted: EncoderFile, path: Path, terms: Entry) -> EncoderWeights:
    """Read a file, in which nothing is run.

    Raises:
        WeightsError: it cannot be read, or is of another network.
    """
    state: Mapping[str, Tensor] = read_weights(path).state
    if (to_timm := _LAYOUTS.get(terms.name)) is not None:
        with torch.device("meta"):  # it draws no numbers
            network = timm.create_model(wanted.name)
        state = fitting(network, to_timm(state, path), path)
    origin = Provenance(
        name=wanted.name, weights=str(path), sha256=sha256_of(path), licence=terms.licence,
        training_data=terms.training_data, notes="pretrained weights of the encoder",
    )
    return EncoderWeights(state=state, origin=origin)
