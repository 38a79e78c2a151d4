"""Weights: loaded strictly, and told apart by their hash, since terms go with the file and not with the network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from kdcli.errors import WeightsError
from kdcli.files import at_home, sha256_of
from kdcli.types import MadeFor, Provenance
from kdcli.weights import load_into, load_state, parted


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a file of weights was trained on, and under which terms those data are."""

    data: str
    terms: str
    made_for: MadeFor
    """With the size of training. Of measuring none: the networks bring images to their own size themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is known of one network and of files of its weights."""

    name: str
    code: str
    """Licence of the network's own repository."""
    get: str
    """Where weights are to be had."""
    known: dict[str, Training]
    """sha256 of a file -> what it was trained on."""


def load_weights(network: nn.Module, location: str) -> None:
    """Fill a network from a file; ``FILE#PART`` names one network of several in it.

    Raises:
        WeightsError: missing, broken or foreign file.
    """
    file, part = parted(location)
    path = at_home(file)
    load_into(network, load_state(path, part), str(path))


def require(location: str | None, published: Published) -> str:
    """Return a teacher's weights file.

    Raises:
        WeightsError: none was named.
    """
    if not location:
        raise WeightsError(
            f"teacher '{published.name}' needs a weights file; write {published.name}:FILE.pth (from {published.get})"
        )
    return location


def made_for(location: str | None, published: Published) -> MadeFor | None:
    """Return what weights were made for; None of files whose hash is not known, and where there is no file."""
    if not location:
        return None
    training = published.known.get(sha256_of(at_home(parted(location)[0])))
    return training.made_for if training else None


def provenance_of(location: str, published: Published) -> Provenance:
    """Return where weights come from; of a file whose hash is not known only that much is said."""
    path = at_home(parted(location)[0])
    sha256 = sha256_of(path)
    training = published.known.get(sha256)
    return Provenance(
        name=published.name,
        weights=str(path),
        sha256=sha256,
        licence=f"{published.code}; training data: {training.terms}" if training else "unknown",
        training_data=training.data if training else "unknown",
        notes=f"from {published.get}" if training else f"not a known file of {published.get}, {published.code}",
    )
