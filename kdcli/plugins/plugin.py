"""What a plugin is to kdcli before any of its code runs: one entry point and whose it is."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = {
    "teacher": "kdcli.teachers",
    "student": "kdcli.students",
    "loss": "kdcli.losses",
    "mixer": "kdcli.mixers",
    "source": "kdcli.sources",
    "exporter": "kdcli.exporters",
    "logger": "kdcli.loggers",
    "recipe": "kdcli.recipes",
    "study": "kdcli.studies",
}
"""Kind of plugin -> entry-point group."""

DATA = frozenset({"recipe", "study"})
"""Kinds that are TOML files, ``package:file.toml``: read, never imported."""

BUILT_IN = "kdcli"
"""The distribution whose plugins win a name collision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point, as its metadata describes it."""

    kind: str
    name: str
    distribution: str
    version: str
    value: str
    shadowed_by: str | None = None

    @property
    def built_in(self) -> bool:
        """Whether it is one of kdcli's own."""
        return self.distribution == BUILT_IN

    @property
    def is_data(self) -> bool:
        """Whether it is a file to read, not code to import."""
        return self.kind in DATA

    @property
    def address(self) -> str:
        """``distribution:name``, which always means this one."""
        return f"{self.distribution}:{self.name}"

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.kind} '{self.name}' of {self.distribution} {self.version}"
