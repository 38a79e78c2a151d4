"""Where a model's files are: a folder, the hub's cache on this machine, or the hub."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kdcli.errors import SpecError, WeightsError
from kdcli.files import at_home, from_json, is_lfs_pointer

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_WEIGHTS = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
)
"""Files of weights in the order in which they are preferred; an index names the parts of large ones."""

_PROCESSOR = ("preprocessor_config.json", "processor_config.json")
_OFF = frozenset({"", "0", "false", "no", "off"})
_REACH_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A model's files: their folder, the weights among them, and the repository and commit where they are the hub's."""

    folder: Path
    weights: tuple[Path, ...]
    repository: str | None = None
    commit: str | None = None


def find(location: str, revision: str | None) -> Found:
    """Return where a model is; what is cached is used as it is, anything else is fetched from the hub.

    Raises:
        WeightsError: there is none, it is not complete, or it cannot be fetched. SpecError: a revision of a folder.
    """
    folder = at_home(location)
    if folder.is_dir():
        if revision is not None:
            raise SpecError(f"'{location}' is a folder, which has no revisions; leave out revision={revision}")
        return _complete(Found(folder=folder, weights=weights_in(folder)), location)
    if folder.exists() or not _REPOSITORY.fullmatch(location):
        raise WeightsError(f"there is no model folder '{location}'; write hf:FOLDER, or hf:ORG/NAME for one of the hub")
    cached = _cached(location, revision)
    if cached is None or not any((cached.folder / name).is_file() for name in _PROCESSOR):
        _require_hub(location)
        _fetch(location, revision)
        cached = _cached(location, revision)
    if cached is None:
        raise WeightsError(f"the hub's '{location}' is not in the cache after it was fetched; check HF_HOME")
    return _complete(cached, location)


def weights_in(folder: Path) -> tuple[Path, ...]:
    """Return the files of weights in a folder, those that are preferred where there are several sorts; or none.

    Raises:
        WeightsError: an index that cannot be read.
    """
    for path in (folder / name for name in _WEIGHTS):
        if not path.is_file():
            continue
        if path.suffix != ".json":
            return (path,)
        try:
            names = set(from_json(path.read_bytes())["weight_map"].values())
            if not all(Path(name).name == name for name in names):
                raise ValueError("parts that lie elsewhere")
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise WeightsError(f"'{path}' names no parts of the weights; get the model again") from error
        return tuple(folder / str(name) for name in sorted(names))
    return ()


def endpoint() -> str:
    """Return the hub's address; ``HF_ENDPOINT`` replaces it."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _complete(found: Found, location: str) -> Found:
    """Refuse a folder in which something is missing.

    Raises:
        WeightsError: it is no model, or lacks its weights.
    """
    if not (found.folder / "config.json").is_file():
        raise WeightsError(f"'{location}' is no model of transformers: it has no config.json; give a model's folder")
    if not found.weights:
        raise WeightsError(f"'{location}' has no weights ({' or '.join(_WEIGHTS[::2])}); get the model again")
    for path in found.weights:
        if not path.is_file():
            raise WeightsError(f"'{location}' lacks a part of its weights, {path.name}; get the model again")
        if is_lfs_pointer(path):
            raise WeightsError(f"'{path}' is a Git LFS pointer, not the weights; run git lfs pull in its folder")
    return found


def _cached(repository: str, revision: str | None) -> Found | None:
    """Return a repository's files in the cache; None where they are not there, or not all of them."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repository, "config.json", revision=revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    weights = weights_in(folder)
    if not weights or not all(path.is_file() for path in weights):
        return None
    return Found(folder=folder, weights=weights, repository=repository, commit=folder.name)


def no_hub() -> tuple[str, str] | None:
    """Return why the hub must not or cannot be asked, and what to do, or None; its client would try for minutes."""
    for name in ("KDCLI_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").lower() not in _OFF:
            return f"{name} is set", "unset it"
    if any(os.environ.get(key) for key in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return None  # only the proxy can tell
    address = urlsplit(endpoint())
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=_REACH_SECONDS).close()
    except OSError:
        return f"'{address.hostname}' cannot be reached", "connect once so that it is"
    return None


def _require_hub(repository: str) -> None:
    """Refuse at once where the hub must not or cannot be asked.

    Raises:
        WeightsError: as said.
    """
    if (reason := no_hub()) is not None:
        raise WeightsError(
            f"'{repository}' is neither a folder nor whole in the hub's cache, and {reason[0]}; {reason[1]}, or give a "
            "folder with the model"
        )


def _fetch(repository: str, revision: str | None) -> None:
    """Fetch what a model needs into the hub's cache.

    Raises:
        WeightsError: it cannot be had.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    page = f"{endpoint()}/{repository}"
    try:
        listed = HfApi(endpoint=endpoint()).model_info(repository, revision=revision, timeout=30).siblings or []
        names = {item.rfilename for item in listed}
        wanted = _wanted(names)
        if wanted is None and "student.safetensors" in names:
            raise WeightsError(f"'{repository}' on the hub is a student of kdcli; write run:hf:{repository}")
        if wanted is None:
            raise WeightsError(f"'{repository}' on the hub is no model of transformers with weights; see {page}")
        snapshot_download(repository, revision=revision, allow_patterns=wanted, endpoint=endpoint())
    except WeightsError:
        raise
    except GatedRepoError as error:
        raise WeightsError(
            f"'{repository}' is gated: accept its terms at {page}, log in with `hf auth login`, and try again"
        ) from error
    except RevisionNotFoundError as error:
        raise WeightsError(f"'{repository}' has no revision '{revision}'; see {page}") from error
    except RepositoryNotFoundError as error:
        raise WeightsError(
            f"there is neither a folder '{repository}' nor such a model on the hub, or it is private; check the name, "
            "or log in with `hf auth login`"
        ) from error
    except Exception as error:  # refused, timed out, full disk: as many classes as causes
        reason = " ".join(str(error).split())[:160] or "no reason given"
        raise WeightsError(
            f"'{repository}' cannot be fetched ({type(error).__name__}: {reason}); try again, or give a folder"
        ) from error


def _wanted(names: Collection[str]) -> list[str] | None:
    """Return which of a repository's files to fetch; None where it has no configuration or no weights."""
    weights = next((name for name in _WEIGHTS if name in names), None)
    if weights is None or "config.json" not in names:
        return None
    parts = [] if not weights.endswith(".json") else [
        "model-*.safetensors" if "safetensors" in weights else "pytorch_model-*.bin"
    ]
    return ["config.json", *_PROCESSOR, "README.md", weights, *parts]
