"""Run checks one after another and report on all of them, not only on the first that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kdcli.errors import ConfigError, PluginError, nearest
from kdcli.plugins.registry import describe

PASSED, FAILED, SKIPPED, EXEMPT = "passed", "failed", "skipped", "exempt"

NEVER_EXEMPT = ("contract", "teacher untouched", "inputs kept", "input kept", "model kept")
"""Checks that no plugin may declare itself exempt from: without them others than its own users are harmed."""

Test = tuple[str, Callable[[], str | None]]
"""A check and what runs it: returns a remark or None, raises to fail, raises ``Skip`` to say it does not apply."""


class Failure(Exception):
    """A check that does not hold; the message says what was expected and what was found."""


class Skip(Exception):
    """A check that does not apply to this plugin; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The outcome of one check."""

    name: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of all checks of one plugin."""

    kind: str
    name: str
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome == FAILED)

    @property
    def exempt(self) -> dict[str, str]:
        """The checks that the plugin declares itself exempt from, with its reasons."""
        return {check.name: check.detail for check in self.checks if check.outcome == EXEMPT}

    @property
    def passed(self) -> tuple[str, ...]:
        """Names of the checks that passed."""
        return tuple(check.name for check in self.checks if check.outcome == PASSED)

    def row(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return asdict(self)


class ConformanceError(PluginError, AssertionError):
    """A plugin that does not keep the contract; ``report`` holds every check."""

    def __init__(self, report: Report) -> None:
        self.report = report
        listed = "; ".join(f"[{check.name}] {check.detail}" for check in report.failed)
        super().__init__(f"{report.kind} '{report.name}' fails {len(report.failed)} of {len(report.checks)}: {listed}")


def expect(holds: object, otherwise: str) -> None:
    """Fail the check with a message unless something holds.

    Raises:
        Failure: it does not hold.
    """
    if not holds:
        raise Failure(otherwise)


def run(kind: str, name: str, tests: Iterable[Test], *, plugin: Callable[[], Any] | None = None,
        skip: Collection[str] = (), strict: bool = True) -> Report:
    """Run tests in order. When the first one, the contract itself, fails, the others are not tried.

    plugin: gives the object, whose ``exempt`` names checks that do not apply to it; asked once the contract holds.
    skip: names of checks to leave out. strict: raise when anything failed.

    Raises:
        ConformanceError: a check failed and ``strict`` is set.
        ConfigError: ``skip`` names a check that does not exist.
    """
    found: list[Check] = []
    tests = list(tests)
    known = [test for test, _ in tests]
    for unknown in set(skip) - set(known):
        hint = f"{nearest(unknown, known)} Checks: {', '.join(known)}"
        raise ConfigError(f"there is no check '{unknown}' of a {kind}.{hint}")
    exempt: Mapping[str, str] = {}
    for test, body in tests:
        if found and found[0].outcome == FAILED:
            found.append(Check(name=test, outcome=SKIPPED, detail=f"'{found[0].name}' failed"))
        elif test in skip:
            found.append(Check(name=test, outcome=SKIPPED, detail="left out on request"))
        elif test in exempt:
            found.append(Check(name=test, outcome=EXEMPT, detail=exempt[test]))
        else:
            found.append(_one(test, body))
        if len(found) == 1 and plugin is not None and found[0].outcome != FAILED:
            exempt, wrong = _exemptions(getattr(plugin(), "exempt", {}), kind, known)
            if wrong:
                found.append(Check(name="exemptions", outcome=FAILED, detail="; ".join(wrong)))
    report = Report(kind=kind, name=name, checks=tuple(found))
    if strict and report.failed:
        raise ConformanceError(report)
    return report


def _exemptions(declared: Any, kind: str, known: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Return the exemptions that count, and what is wrong with the others."""
    if not isinstance(declared, Mapping):
        return {}, [f"exempt is {type(declared).__name__}, not a mapping from checks to reasons"]
    good, wrong = {}, []
    for test, reason in declared.items():
        if test not in known:
            wrong.append(f"exempt names '{test}', which is no check of a {kind}.{nearest(str(test), known)}")
        elif test in NEVER_EXEMPT:
            wrong.append(f"no plugin can be exempt from '{test}'")
        elif not isinstance(reason, str) or not reason.strip():
            wrong.append(f"exempt gives no reason for '{test}'")
        else:
            good[test] = " ".join(reason.split())
    return good, wrong


def _one(name: str, body: Callable[[], str | None]) -> Check:
    begin, outcome = time.perf_counter(), PASSED
    try:
        detail = body() or ""
    except Skip as reason:
        outcome, detail = SKIPPED, str(reason)
    except Failure as failure:
        outcome, detail = FAILED, str(failure)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a plugin raises is a finding about it
        outcome, detail = FAILED, describe(error)
    return Check(name=name, outcome=outcome, detail=detail, seconds=time.perf_counter() - begin)
