"""Files of pretrained weights of timm's models: where they lie on this machine, and how one gets here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import timm
import torch

from kdcli.errors import WeightsError
from kdcli.remarks import remark
from kdcli.weights.pull import pull
from kdcli.weights.reach import barred
from kdcli.weights.table import Entry, entries, find, folders

SILENCE = 15.0
"""Seconds without a byte after which a download is given up."""

_LICENCES = {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "cc-by-nc-4.0": "CC-BY-NC-4.0"}
"""timm's spelling -> that of the table."""


class NotToBeHad(WeightsError):
    """Weights that are neither on this machine nor to be fetched."""

    def __init__(self, why: str, advice: str = "") -> None:
        super().__init__(f"{why}; {advice}" if advice else why)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFile(Entry):
    """Pretrained weights of one of timm's models, where they are kept in our folders under timm's name."""

    table: Entry | None = None
    """The entry of the table that has the same weights."""
    released: str | None = None
    """Address of the file that timm fetched before the hub, which older versions of it left in a cache of torch's."""

    @property
    def advice(self) -> str:
        """One clause: how to get the file."""
        return f"connect once, or {self.table.advice if self.table is not None else self.by_hand}"

    @property
    def again(self) -> str:
        """One clause: how to go on with a download that stopped."""
        return "try again"


def file_of(name: str) -> EncoderFile | None:
    """Return what timm says of a model's pretrained weights; None where it has none.

    name: with the tag of the weights behind a dot, or without for the usual ones.
    """
    config: Any = timm.get_pretrained_cfg(name)
    if config is None or not (config.hf_hub_id or config.url):
        return None
    full = f"{config.architecture}.{config.tag}" if config.tag else str(config.architecture)
    file = f"{full}.safetensors" if config.hf_hub_id else PurePosixPath(urlsplit(config.url).path).name
    known = next((one for one in entries().values() if one.timm == full or one.file == file), None)
    sets = dict.fromkeys(re.findall(r"in(\d+)k", config.tag or ""))
    return EncoderFile(
        name=full, file=file, hub=config.hf_hub_id, url=None if config.hf_hub_id else config.url, table=known,
        released=config.url,
        page=f"https://huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else config.url,
        how="its model.safetensors" if config.hf_hub_id else "",
        licence=_LICENCES.get(config.license, config.license) or "unknown",
        training_data=", ".join(f"ImageNet-{number}k" for number in sets) or "unknown",
    )


def places(wanted: EncoderFile) -> Iterator[tuple[Path, Entry]]:
    """Give the files on this machine that hold the weights, with their terms, in the order in which they are taken.

    These are our own folders of weights, the hub's cache, that of ``torch.hub``, and an installed distribution.
    """
    own = (folder / wanted.file for folder in folders())
    for path in (*own, *_cached(wanted)):
        if path.is_file():
            yield path, wanted
    if wanted.table is not None and (path_of_table := find(wanted.table)) is not None:
        yield path_of_table, wanted.table


def fetch(wanted: EncoderFile) -> Path:
    """Download weights into our own folder and return the file; a machine without network is told so in seconds.

    Raises:
        NotToBeHad: the network is forbidden, or gives none.
    """
    address = wanted.address
    assert address is not None
    if (why := barred(address)) is not None:
        raise NotToBeHad(f"pretrained weights of timm's '{wanted.name}' are not on this machine and {why}",
                         wanted.advice)
    remark(f"fetching pretrained weights {wanted.name} from {urlsplit(address).hostname}, licence {wanted.licence}")
    try:
        return pull(wanted, timeout=SILENCE)
    except (WeightsError, OSError) as error:
        raise NotToBeHad(f"pretrained weights of timm's '{wanted.name}' cannot be had: {error}") from error


def _cached(wanted: EncoderFile) -> Iterator[Path]:
    if wanted.hub is not None:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(wanted.hub, "model.safetensors")
        if isinstance(found, str):
            yield Path(found)
    if wanted.released is not None:
        yield Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(urlsplit(wanted.released).path).name
