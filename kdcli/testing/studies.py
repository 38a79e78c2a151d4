"""Check studies: a file that parses, resolves to a grid of runs, and names recipes, plugins and keys that exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path

from kdcli.documents import parse_toml
from kdcli.errors import ConfigError
from kdcli.study import Study, plan
from kdcli.study.variables import open_variables
from kdcli.testing.recipes import bound, located
from kdcli.testing.report import Report, Skip, Test, run


def check_study(
    target: str | Path, *, settings: Iterable[str] = (), skip: Collection[str] = (), seed: int = 0, strict: bool = True
) -> Report:
    """Check a study: the name of an installed one, or a file.

    settings: ``NAME=VALUE`` for its variables. Where one has neither a value nor a default, what depends on it is
    passed over and the report says so.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set.
        PluginError: there is no such study.
    """
    checks = StudyChecks(located("study", target), settings)
    return run("study", str(target), checks.tests(), skip=skip, strict=strict)


class StudyChecks:
    """The checks of one study."""

    def __init__(self, path: Path, settings: Iterable[str] = ()) -> None:
        self.path, self.settings = path, tuple(settings)

    def tests(self) -> list[Test]:
        """Return the checks in order."""
        return [("resolves", self.resolves), ("plugins", self.plugins)]

    @cached_property
    def planned(self) -> Study:
        """The file, resolved."""
        text = self.path.read_text(encoding="utf-8")
        document = parse_toml(text, f"study '{self.path.stem}'", error=ConfigError)
        given = {setting.partition("=")[0] for setting in self.settings}
        left = [name for name in open_variables(document) if name not in given]
        if left:
            raise Skip(f"it needs values for {', '.join(left)}; check_study takes them as settings")
        return plan(text, source=self.path, settings=self.settings)

    def resolves(self) -> str:
        """Expect a grid of runs."""
        found = self.planned
        return f"{len(found.cells)} runs of {len(found.arms)} arms"

    def plugins(self) -> str:
        """Expect every spec of every run to name a plugin with those keys."""
        configs = {cell.key: cell.config for cell in self.planned.cells}
        return ", ".join(sorted({text for config in configs.values() for text in bound(config)}))
