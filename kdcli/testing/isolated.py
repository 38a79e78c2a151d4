"""Run the kit on somebody else's plugin in a process of its own, which it may end or crash without this one.

``main`` is what that process runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdcli import errors
from kdcli.errors import DataError, KdcliError, PluginError, SpecError, WeightsError
from kdcli.files import write_json
from kdcli.plugins import memory as plugin_memory
from kdcli.plugins import status as plugin_status
from kdcli.plugins.blame import describe
from kdcli.plugins.info import owners
from kdcli.plugins.registry import Plugin
from kdcli.testing.report import FAILED, SKIPPED, Check, Report


def check_isolated(text: str, kind: str | None = None, *, seed: int = 0) -> list[Report]:
    """Check every plugin that a spec names, as ``check_by_name`` does, but none of other people's in this process.

    Raises:
        PluginError: no plugin has that name. KdcliError: what the only plugin of that name says to the spec.
    """
    reports, found = [], owners(text, kind)
    for plugin, spec in found:
        location = plugin.name if spec.location is None else f"{plugin.name}:{spec.location}"
        addressed = str(replace(spec, name=plugin.distribution, location=location))
        try:
            report = _one(plugin, addressed, seed)
        except (SpecError, DataError, WeightsError) as error:  # it cannot be made from this spec: no failure of its
            if len(found) == 1:
                raise
            passed_over = Check(name="made", outcome=SKIPPED, detail=str(error))
            report = Report(kind=plugin.kind, name=text, checks=(passed_over,))
        reports.append(replace(report, name=text))
    return reports


def _one(plugin: Plugin, addressed: str, seed: int) -> Report:
    if plugin.built_in or plugin.is_data:
        from kdcli.testing.by_name import check_by_name

        return check_by_name(addressed, plugin.kind, seed=seed)[0]
    with tempfile.TemporaryDirectory(prefix="kdcli-check-") as folder:
        answer = Path(folder, "answer.json")
        command = [sys.executable, "-P", "-c", _START, addressed, plugin.kind, str(seed), str(answer)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, env=plugin_status.same_path(), check=False)
        try:
            document = json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return _crashed(plugin, done.returncode)
    if "error" in document:
        name, message = document["error"]
        raise getattr(errors, name)(message)
    return _report(document["report"])


def _crashed(plugin: Plugin, code: int) -> Report:
    """Find out whether the import was it, and remember that for listings."""
    at_import, _ = plugin_status.probe(plugin, plugin_status.CHECK_SECONDS)
    if at_import is not None:
        plugin_memory.remember(plugin.distribution, plugin.version, plugin.value, at_import)
        detail = f"{plugin.label} {at_import}"
        return Report(kind=plugin.kind, name=plugin.name, checks=(Check(name="loads", outcome=FAILED, detail=detail),))
    detail = f"{plugin.label} {plugin_status.ended(code)} while it is checked"
    return Report(kind=plugin.kind, name=plugin.name, checks=(Check(name="survives", outcome=FAILED, detail=detail),))


def _report(row: dict[str, Any]) -> Report:
    return Report(**{**row, "checks": tuple(Check(**check) for check in row["checks"])})


_START = (
    "from kdcli.plugins.lenient import be_lenient; be_lenient(); "  # before the kit imports PyTorch
    "import sys; from pathlib import Path; from kdcli.testing.isolated import main; "
    "main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))"
)


def main(addressed: str, kind: str, seed: int, answer: Path) -> None:
    """Check a plugin and write ``{"report": ...}`` or ``{"error": [class, message]}``."""
    from kdcli.testing.by_name import check_by_name

    try:
        document: dict[str, Any] = {"report": check_by_name(addressed, kind, seed=seed)[0].row()}
    except KdcliError as error:
        known = next(c for c in type(error).__mro__ if c.__module__ == errors.__name__)
        document = {"error": [known.__name__, str(error)]}
    except Exception as error:
        document = {"error": [PluginError.__name__, f"the check of '{addressed}' failed: {describe(error)}"]}
    write_json(answer, document)

