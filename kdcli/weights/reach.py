"""Whether a download is allowed and can begin: asked before it does, so that no machine waits long for no network."""

from __future__ import annotations

import os
import socket
import threading
from urllib.parse import urlsplit

SECONDS = 5.0
"""How long a server may take to accept a connection, the look-up of its name included."""

_FORBID = ("KDCLI_OFFLINE", "HF_HUB_OFFLINE")
_OFF = frozenset({"", "0", "false", "no", "off"})
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def forbidden_by(*names: str) -> str | None:
    """Return the environment variable that forbids the network, or None.

    Args:
        names: variables to look at; ``KDCLI_OFFLINE`` alone where none is given.
    """
    return next((key for key in names or _FORBID[:1] if os.environ.get(key, "").lower() not in _OFF), None)


def barred(address: str, seconds: float = SECONDS) -> str | None:
    """Return in a clause why a file that nobody asked for by name cannot be fetched from an address, or None.

    Behind a proxy only the proxy can tell, so that there the answer is None.
    """
    if (key := forbidden_by(*_FORBID)) is not None:
        return f"{key} is set"
    place = urlsplit(address)
    if place.hostname is None:
        return f"'{address}' is no address"
    if any(os.environ.get(key) for key in _PROXIES):
        return None
    port = place.port or (80 if place.scheme == "http" else 443)
    return None if _answers(place.hostname, port, seconds) else f"'{place.hostname}' cannot be reached"


def _answers(host: str, port: int, seconds: float) -> bool:
    """Whether a server accepts a connection in time.

    A look-up of a name has no limit of its own, and a host may have many addresses: a thread tries, and is left.
    """
    reached = threading.Event()
    done = threading.Event()

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            reached.set()
        except OSError:
            pass
        finally:
            done.set()

    threading.Thread(target=attempt, daemon=True).start()
    done.wait(seconds)
    return reached.is_set()
