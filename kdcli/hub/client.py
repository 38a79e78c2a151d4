"""The hub's own client: asked for when it is needed, kept quiet, and every way to fail told in one line."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kdcli.errors import ConfigError, KdcliError
from kdcli.hub.address import Address
from kdcli.hub.secrets import hidden
from kdcli.text import line
from kdcli.version import __version__
from kdcli.weights.reach import barred

SECONDS = 30.0
"""How long an answer may take."""
LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


def endpoint() -> str:
    """Return the hub's address; ``HF_ENDPOINT`` replaces it."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def page(address: Address) -> str:
    """Return where people look at a repository."""
    return hidden(f"{endpoint()}/{address.repository}")


def api() -> Any:
    """Return the client's interface.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from huggingface_hub import HfApi, utils
    except ImportError as error:
        raise ConfigError(
            "the hub's client is not installed; install it with: pip install 'kdcli[huggingface]'"
        ) from error
    utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if not sys.stderr.isatty():
        utils.disable_progress_bars()  # type: ignore[attr-defined]
    return HfApi(endpoint=endpoint(), library_name="kdcli", library_version=__version__)


def token() -> str | None:
    """Return the token that the client would send; it is for asking whether there is one, and never shown."""
    from huggingface_hub import get_token

    found: str | None = get_token()
    return found


def require_hub(address: Address, doing: str, error: type[KdcliError]) -> None:
    """Refuse at once where the hub must not or cannot be asked: its client would try for minutes.

    Args:
        address: the repository, for the message.
        doing: what cannot be done, such as ``fetched``.
        error: class to raise.

    Raises:
        KdcliError: as said.
    """
    if (reason := barred(endpoint())) is not None:
        advice = "unset it" if reason.endswith("is set") else "check the network, or HF_ENDPOINT"
        raise error(f"'{address}' cannot be {doing}: {hidden(reason)}; {advice}, and try again")


@contextmanager
def telling(address: Address, doing: str, error: type[KdcliError]) -> Iterator[None]:
    """Make one line of whatever the client raises within the block; arguments are as those of ``require_hub``."""
    try:
        yield
    except KdcliError:
        raise
    except Exception as trouble:  # refused, timed out, full disk: as many classes as causes
        raise error(hidden(f"'{address}' cannot be {doing}: {_why(trouble, address)}")) from trouble


def status_of(trouble: BaseException | None) -> int | None:
    """Return the HTTP status behind an error of the client; None where there is none."""
    while trouble is not None:
        if (code := getattr(getattr(trouble, "response", None), "status_code", None)) is not None:
            return int(code)
        trouble = trouble.__cause__
    return None


def _why(trouble: Exception, address: Address) -> str:
    """Return what happened and what to do, as the end of a sentence."""
    from huggingface_hub import errors

    known = token() is not None
    if isinstance(trouble, errors.GatedRepoError):
        return f"it is gated; accept its terms at {page(address)}, {LOGIN}, and try again"
    if isinstance(trouble, errors.RevisionNotFoundError):
        return f"it has no revision '{address.revision or 'main'}'; see {page(address)}"
    if isinstance(trouble, errors.RepositoryNotFoundError):
        opens = "not for this token" if known else "private"
        return f"there is no such model on the hub, or it is {opens}; check the name, or {LOGIN}"
    if isinstance(trouble, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set; unset it, and try again"
    if (told := _of_status(status_of(trouble), known, address)) is not None:
        return told
    number = getattr(trouble, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; make room, or set HF_HOME to a folder elsewhere"
    if isinstance(trouble, PermissionError | NotADirectoryError) and trouble.filename:
        return f"'{trouble.filename}' cannot be written; set HF_HOME to a folder of yours"
    reason = line(_innermost(trouble), 160)
    return f"the connection or its answer is broken ({reason}); run it again; files that are whole are kept"


def _of_status(code: int | None, known: bool, address: Address) -> str | None:
    if code is None or code < 400:
        return None
    owner = address.repository.partition("/")[0]
    if code == 401:
        return f"the hub does not accept the token; {LOGIN} anew" if known else f"it asks for a token; {LOGIN}"
    if code == 403:
        return f"the token may not do that with '{owner}'; use one with the right to write there"
    if code == 404:
        return f"something of it is not there; see {page(address)}"
    if code == 429:
        return "the hub has had too many requests from here; try again in some minutes"
    if code >= 500:
        return f"the hub answered {code}, which may pass; try again later"
    return f"the hub refused it ({code}); see {page(address)}"


def _innermost(trouble: BaseException) -> str:
    """Return the first cause in the words of its class, without the client's advice about its own calls."""
    while trouble.__cause__ is not None:
        trouble = trouble.__cause__
    first = str(trouble).strip().splitlines()[:1]
    return f"{type(trouble).__name__}: {first[0]}" if first else type(trouble).__name__
