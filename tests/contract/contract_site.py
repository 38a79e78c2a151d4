"""The packages of ``tests/contract/packages``, installed on a path of their own."""

from __future__ import annotations

import configparser
from pathlib import Path

from throwaway import distribution

PACKAGES = Path(__file__).parent / "packages"


def install(package: Path, site: Path) -> None:
    """Write a package as pip would leave it: its modules, and metadata with its entry points."""
    points = configparser.ConfigParser(delimiters="=")
    points.optionxform = str  # type: ignore[assignment,method-assign]  # names of plugins keep their case
    points.read(package / "entry_points.txt", encoding="utf-8")
    files = [path for path in package.rglob("*") if path.suffix in (".py", ".toml")]
    distribution(
        site, package.name,
        {group.removeprefix("kdcli."): dict(points[group]) for group in points.sections()},
        {str(path.relative_to(package)): path.read_text(encoding="utf-8") for path in files},
    )


def plugins_of(package: Path) -> list[tuple[str, str]]:
    """Return kind and name of a package's plugins, recipes left out."""
    points = configparser.ConfigParser(delimiters="=")
    points.read(package / "entry_points.txt", encoding="utf-8")
    kinds = {"kdcli.students": "student", "kdcli.teachers": "teacher", "kdcli.losses": "loss", "kdcli.mixers": "mixer"}
    return [(kinds[group], name) for group in points.sections() if group in kinds for name in points[group]]
