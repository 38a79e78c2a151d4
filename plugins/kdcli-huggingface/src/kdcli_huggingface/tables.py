"""Where a data set of Hugging Face ``datasets`` is: saved to disk, in Parquet files, or on the hub; and its splits."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kdcli.errors import ConfigError, DataError
from kdcli.files import at_home
from kdcli_huggingface.files import no_hub

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_SAVED = ("state.json", "dataset_dict.json")
_FIRST = 4
"""Oldest version of ``datasets``: those before run code that a data set brings with it."""


def open_table(location: str, split: str | None, config: str | None, revision: str | None) -> Any:
    """Return one split of a data set, not streamed.

    Raises:
        DataError: there is none, or it cannot be loaded. ConfigError: which split is meant is open.
    """
    found = _load(location, config, revision)
    if not isinstance(found, Mapping):
        if split is not None:
            raise ConfigError(f"'{location}' has no splits; leave out split={split}")
        return found
    if split is None and len(found) > 1:
        raise ConfigError(f"'{location}' has the splits {', '.join(found)}; choose one with split=")
    chosen = next(iter(found)) if split is None else split
    if chosen not in found:
        raise ConfigError(f"'{location}' has no split '{chosen}'; it has {', '.join(found)}")
    return found[chosen]


def _load(location: str, config: str | None, revision: str | None) -> Any:
    package = _package(location)
    path = at_home(location)
    if path.exists():
        if revision is not None:
            raise ConfigError(f"'{location}' is on this machine, which has no revisions; leave out revision={revision}")
        if any((path / name).is_file() for name in _SAVED):
            return _told(package, location, lambda: package.load_from_disk(str(path)))
        if path.is_file() and path.suffix == ".parquet":
            file = str(path)
            return _told(package, location, lambda: package.load_dataset("parquet", data_files=file, split="train"))
        if path.is_dir() and any(path.rglob("*.parquet")):
            return _told(package, location, lambda: package.load_dataset(str(path), config))
        raise DataError(
            f"'{location}' is neither a folder that save_to_disk wrote nor Parquet; give one of these, or ORG/NAME of "
            "the hub"
        )
    if not _REPOSITORY.fullmatch(location):
        raise DataError(f"'{location}' does not exist; give a folder, a Parquet file, or ORG/NAME of the hub")
    reason = no_hub()
    with _offline(package, reason is not None):
        return _told(package, location, lambda: package.load_dataset(location, config, revision=revision), reason)


def _package(location: str) -> Any:
    """Import ``datasets``.

    Raises:
        DataError: it is not installed, or is so old that it runs code of data sets.
    """
    try:
        package: Any = importlib.import_module("datasets")
    except ImportError:
        raise DataError(
            f"'{location}' is read by the package datasets, which is not installed; run pip install "
            "'kdcli-huggingface[datasets]'"
        ) from None
    version = str(getattr(package, "__version__", "0"))
    if int(re.sub(r"\D.*", "", version) or 0) < _FIRST:
        raise DataError(
            f"datasets {version} runs code that data sets bring with them; run pip install 'datasets>={_FIRST}'"
        )
    return package


def _told(package: Any, location: str, load: Callable[[], Any], reason: tuple[str, str] | None = None) -> Any:
    """Load without bars of progress; whatever goes wrong becomes one line."""
    quiet = package.are_progress_bars_disabled()
    package.disable_progress_bars()
    try:
        return load()
    except Exception as error:  # what datasets, pyarrow and the hub raise has no common base
        said = " ".join(str(error).split()) or type(error).__name__
        if "dataset scripts" in said.lower():
            raise DataError(
                f"'{location}' comes with code that loads it, which is not run; use a conversion of it to Parquet, "
                "often revision=refs/convert/parquet"
            ) from None
        if reason is not None:
            raise DataError(
                f"'{location}' is neither on this machine nor in the cache of datasets, and {reason[0]}; {reason[1]}, "
                "or give a folder"
            ) from None
        raise DataError(
            f"'{location}' cannot be loaded ({said[:160]}); check the name, or save it to disk again"
        ) from None
    finally:
        if not quiet:
            package.enable_progress_bars()


@contextmanager
def _offline(package: Any, needed: bool) -> Iterator[None]:
    """Let the hub's client look into its cache alone, where the hub must not or cannot be asked."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, package.config.HF_HUB_OFFLINE
    if needed:
        constants.HF_HUB_OFFLINE = package.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, package.config.HF_HUB_OFFLINE = before


