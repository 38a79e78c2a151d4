"""Which of the slow tests run: a sample, another one each day, so that a whole round stays short.

``pytest --slow-share 1`` runs them all; ``--slow-sample NAME`` repeats the sample that the head of a report names.
Tests of which there are many alike say how many of them a sample takes: ``pytest.mark.slow(share=0.1)``, a tenth as
many as of the others.
"""

from __future__ import annotations

import datetime
import hashlib

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("slow tests")
    group.addoption("--slow-share", type=float, default=0.08, help="share of the tests marked slow that run (0.08)")
    group.addoption("--slow-sample", help="name of the sample; by default the date")


def pytest_configure(config: pytest.Config) -> None:
    # Processes that are started from here are given what is said here: a day may end in the middle.
    config.option.slow_sample = config.option.slow_sample or datetime.date.today().isoformat()


def pytest_report_header(config: pytest.Config) -> str:
    return f"slow tests: {config.option.slow_share:.0%} of them, --slow-sample {config.option.slow_sample}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    share, sample = config.option.slow_share, config.option.slow_sample
    left_out = [item for item in items if place(item, sample) >= share_of(item, share)]
    if left_out and len(items) > 1:  # one that is asked for by name runs
        gone = set(map(id, left_out))
        items[:] = [item for item in items if id(item) not in gone]
        config.hook.pytest_deselected(items=left_out)


def share_of(item: pytest.Item, share: float) -> float:
    """Return the share of the tests like this one that run, 1 where all of them do."""
    marker = item.get_closest_marker("slow")
    return 1.0 if marker is None or share >= 1 else share * float(marker.kwargs.get("share", 1))


def place(item: pytest.Item, sample: str) -> float:
    """Return a number from 0 to below 1 that depends on the test and on the sample alone."""
    told = hashlib.sha256(f"{sample} {item.nodeid}".encode()).digest()
    return int.from_bytes(told[:6], "big") / 2**48
