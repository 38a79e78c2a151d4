"""What an opened source holds on to for each image, as Python counts it: names and places, not contents."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from many_files import BUILDERS

from kdcli.sources import load_source

MOST = 100
"""Bytes."""
FEW, MANY = 500, 1500
"""Images, of which the difference is measured."""


def held(spec: str, images: int) -> int:
    gc.collect()
    tracemalloc.start()
    source = load_source(spec)
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(source) == images
    return size


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_an_image_takes_few_bytes(build: Callable[[Path, int], str], tmp_path: Path) -> None:
    many = build(tmp_path / "many", MANY)
    load_source(many)  # what is made once in a process, such as modules and Python's own table of names
    few = build(tmp_path / "few", FEW)
    # Twice, since Python's table of names may have to grow just then, by megabytes.
    least, most = (min(held(spec, images) for _ in range(2)) for spec, images in ((few, FEW), (many, MANY)))
    assert (most - least) / (MANY - FEW) < MOST
