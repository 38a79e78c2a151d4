"""Stand-ins for what is downloaded: models in the hub's cache, a server with one file of weights, and a hub."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from doc_runs import call
from hub_stand_in import WRITES, serving

from kdcli.files import sha256_of
from kdcli.weights import entries


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(name: str, made: Path) -> Iterator[None]:
    """Let weights of the table come from this machine: a file with random ones in the place of the true one.

    Args:
        name: of the table.
        made: the file.
    """
    known = entries()[name]
    handler = functools.partial(_Quiet, directory=str(made.parent))
    with pytest.MonkeyPatch.context() as patched, ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        address = f"http://127.0.0.1:{http.server_port}/{made.name}"
        there = replace(known, url=address, hub=None, sha256=sha256_of(made), size=made.stat().st_size)
        patched.setitem(entries(), name, there)
        patched.setenv("no_proxy", "127.0.0.1")
        patched.delenv("KDCLI_OFFLINE")
        yield
        http.shutdown()


@contextmanager
def students(run: Path, cache: Path) -> Iterator[None]:
    """Have a hub on this machine that a token opens, where ``hf:ORG/NAME`` is a run's student."""
    with serving(cache), pytest.MonkeyPatch.context() as patched:
        patched.setenv("HF_TOKEN", WRITES)
        told = call("push", str(run), "hf:ORG/NAME", "--quiet")
        assert told.exit_code == 0, (told.output, told.exception)
        yield


def as_cached(repository: str, cache: Path) -> Path:
    """Return the folder in which a repository's files lie in a cache of the hub."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    base = cache / f"models--{repository.replace('/', '--')}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(commit)
    return base / "snapshots" / commit
