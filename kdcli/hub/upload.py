"""A student into the hub: one commit with the files that are named and no others, looked at afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdcli.errors import ConfigError, KdcliError, WeightsError
from kdcli.files import sha256_of
from kdcli.hub.address import MAIN, Address
from kdcli.hub.client import LOGIN, SECONDS, api, endpoint, page, require_hub, status_of, telling, token
from kdcli.hub.declared import CONFIG, PICTURE, read
from kdcli.hub.secrets import holds_secret

_BEGINS = frozenset({".gitattributes", "README.md", "LICENSE", "LICENSE.md"})
"""What a repository may hold that somebody made for a student and that has none yet."""
_DOING = "pushed to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What came of it: the page, the commit, files that were taken away, and whether it is private."""

    page: str
    commit: str
    removed: tuple[str, ...]
    private: bool


def upload(
    address: Address, files: Mapping[str, Path], *, private: bool, message: str, note: Callable[[str], None]
) -> Pushed:
    """Make a repository where there is none, and commit files to it.

    All of them come to be or none; files of an earlier push that are not among them go. What was sent before an
    interruption is not sent again.

    Args:
        address: the repository, and the branch, which is made where there is none.
        files: by their names there.
        private: of a repository that is made; one that is there and public is refused.
        message: of the commit.
        note: told what goes on.

    Raises:
        ConfigError: offline, no token or one that does not do, a repository that holds something else, a refusal.
    """
    require_safe(files)
    client = require_ready(address)
    bare = replace(address, revision=None)
    with telling(bare, _DOING, ConfigError):
        _require_token(client, address)
        there = _there(client, address)
        if there is None:
            client.create_repo(address.repository, private=private, exist_ok=True)
            there = client.model_info(address.repository, files_metadata=True, timeout=SECONDS)
        if private and not there.private:
            raise ConfigError(f"'{bare}' is there already and is public; make it private at {page(address)}, or leave "
                              "out --private")
        if there.private and not private:
            note(f"note: {bare} is there already and stays private")
        branch = address.revision or MAIN
        if branch != MAIN:
            client.create_branch(address.repository, branch=branch, exist_ok=True)
            there = client.model_info(address.repository, revision=branch, files_metadata=True, timeout=SECONDS)
        removed = _earlier(there, address, files)
        commit = _commit(client, address.repository, branch, files, removed, message)
        after = client.model_info(address.repository, revision=commit, files_metadata=True, timeout=SECONDS)
    _check(after, address, files)
    return Pushed(page=page(address), commit=commit, removed=tuple(removed), private=bool(there.private))


def require_ready(address: Address) -> Any:
    """Return the client, where a push can begin: what is costly to prepare waits for that.

    Raises:
        ConfigError: offline, or no token.
    """
    require_hub(address, _DOING, ConfigError)
    client = api()
    if token() is None:
        raise ConfigError(f"'{address}' cannot be {_DOING}: there is no token; {LOGIN} to one with the right to write")
    return client


def require_safe(files: Mapping[str, Path]) -> None:
    """Refuse files with a token in them.

    Raises:
        ConfigError: one has.
    """
    for name, path in files.items():
        if holds_secret(path.read_bytes()):
            raise ConfigError(f"'{name}' holds a token of the hub, and is not pushed; take it out of the run first")


def _require_token(client: Any, address: Address) -> None:
    """Refuse a token that is none, or only for reading, before anything is made.

    Raises:
        ConfigError: as said.
    """
    try:
        who = client.whoami()
    except Exception as error:
        if status_of(error) in (401, 403):
            raise ConfigError(f"'{address}' cannot be {_DOING}: the hub does not accept the token; {LOGIN} "
                              "anew") from error
        raise
    role = ((who.get("auth") or {}).get("accessToken") or {}).get("role")
    if role == "read":
        raise ConfigError(f"'{address}' cannot be {_DOING}: the token of '{who.get('name')}' may only read; {LOGIN} "
                          "to one with the right to write")


def _there(client: Any, address: Address) -> Any:
    """Return what the hub tells of a repository; None where there is none."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return client.model_info(address.repository, files_metadata=True, timeout=SECONDS)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return None


def _earlier(there: Any, address: Address, files: Mapping[str, Path]) -> list[str]:
    """Return the files of an earlier push that are not pushed now.

    Raises:
        ConfigError: the repository holds something that no push made.
    """
    names = {one.rfilename for one in there.siblings or []}
    if names <= _BEGINS:
        return []
    try:
        if CONFIG not in names:
            raise WeightsError(f"there is no {CONFIG}")
        from huggingface_hub import hf_hub_download

        config = hf_hub_download(address.repository, CONFIG, revision=there.sha, endpoint=endpoint())
        declared = read(Path(config), address.repository)
    except WeightsError as error:
        raise ConfigError(
            f"'{address}' holds {len(names)} files that are no student of kdcli, and is left as it is; give another "
            "name"
        ) from error
    return sorted(({*declared, PICTURE} & names) - set(files))


def _commit(
    client: Any, repository: str, branch: str, files: Mapping[str, Path], removed: list[str], message: str
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations: list[Any] = [CommitOperationAdd(name, path) for name, path in sorted(files.items())]
    for one in operations:  # several at once go in threads, for which an interruption would wait
        client.preupload_lfs_files(repository, additions=[one], revision=branch, free_memory=False)
    operations += [CommitOperationDelete(name) for name in removed]
    made = client.create_commit(repository, operations, commit_message=message, revision=branch)
    return str(made.oid)


def _check(after: Any, address: Address, files: Mapping[str, Path]) -> None:
    """Hold what the hub has against what was sent.

    Raises:
        KdcliError: a file is missing or another one.
    """
    there = {one.rfilename: one for one in after.siblings or []}
    for name, path in files.items():
        one = there.get(name)
        stored = getattr(getattr(one, "lfs", None), "sha256", None)
        if one is None or one.size not in (None, path.stat().st_size) or stored not in (None, sha256_of(path)):
            raise KdcliError(f"the hub has another '{name}' in '{address}' than was sent; push again")
