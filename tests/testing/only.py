"""Run the kit with few of its checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdcli.testing import Check, Report, check_loss, check_mixer
from kdcli.testing.losses import LossChecks
from kdcli.testing.make import subject
from kdcli.testing.mixers import MixerChecks

CHECKS: dict[str, list[str]] = {
    "loss": [name for name, _ in LossChecks(subject("loss", object())).tests()],
    "mixer": [name for name, _ in MixerChecks(subject("mixer", object())).tests()],
}
RUN: dict[str, Callable[..., Report]] = {"loss": check_loss, "mixer": check_mixer}


def all_but(kind: str, *names: str) -> list[str]:
    """Return the checks to leave out; the contract is never among them."""
    assert set(names) <= set(CHECKS[kind])
    return [name for name in CHECKS[kind] if name not in ("contract", *names)]


def only(kind: str, target: Any, name: str, **given: Any) -> Check:
    """Return what one check of a loss or a mixer finds; the contract has to hold."""
    report = RUN[kind](target, skip=all_but(kind, name), strict=False, **given)
    assert report.checks[0].outcome == "passed", report.checks[0].detail
    return next(check for check in report.checks if check.name == name)
