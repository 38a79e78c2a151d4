"""Stand-ins for what is downloaded: models in the hub's cache, and a server with one file of weights."""

from __future__ import annotations

import functools
import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from doc_blocks import ROOT

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


def save_model(family: str, folder: Path) -> None:
    """Write a small model of transformers with random weights and its processor."""
    torch.manual_seed(0)
    network, processor = _families()[family]()
    network.save_pretrained(folder)
    processor.save_pretrained(folder)


def as_cached(repository: str, cache: Path) -> Path:
    """Return the folder in which a repository's files lie in a cache of the hub."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    base = cache / f"models--{repository.replace('/', '--')}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(commit)
    return base / "snapshots" / commit


@functools.cache
def _families() -> dict[str, Any]:
    """Return the small models of the package's own tests."""
    path = ROOT / "plugins" / "kdcli-huggingface" / "tests" / "hf_tiny.py"
    spec = importlib.util.spec_from_file_location("hf_tiny", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    families: dict[str, Any] = module.MODELS
    return families
