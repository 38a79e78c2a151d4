"""The guide for authors names every kind, group, check and optional member there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kdcli import protocols, testing
from kdcli.plugins import registry
from kdcli.testing.exporters import ExporterChecks
from kdcli.testing.loggers import LoggerChecks
from kdcli.testing.losses import LossChecks
from kdcli.testing.make import subject
from kdcli.testing.mixers import MixerChecks
from kdcli.testing.models import ModelChecks
from kdcli.testing.recipes import RecipeChecks
from kdcli.testing.sources import SourceChecks
from kdcli.testing.studies import StudyChecks

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "write-a-plugin.md").read_text(encoding="utf-8")


def rows() -> dict[str, set[str]]:
    """Checks by the first cell of the guide's table."""
    table = GUIDE.split("| kind | checks |")[1].split("\n\n")[0]
    cells = [line.strip("| \n").split(" | ") for line in table.splitlines()[2:] if line]
    return {kind: set(re.findall(r"`([^`]+)`", checks)) for kind, checks in cells}


def test_every_kind_and_group_is_named() -> None:
    for kind, group in registry.GROUPS.items():
        assert f"| `{kind}` | `{group}` |" in GUIDE


def test_every_check_is_named() -> None:
    it = subject("loss", "l1")
    network = testing.ToyDepth()
    expected = {
        "networks": ModelChecks(it, ()).tests(), "loss": LossChecks(it).tests(), "mixer": MixerChecks(it).tests(),
        "source": SourceChecks(it).tests(), "exporter": ExporterChecks(it, network).tests(),
        "logger": LoggerChecks(it).tests(),
        "recipe": RecipeChecks(Path()).tests(), "study": StudyChecks(Path()).tests(),
    }
    found = rows()
    for kind, tests in expected.items():
        assert found[kind] == {name for name, _ in tests}
    sizes = ((32, 48),)
    for kind, check in (("student", testing.check_student), ("teacher", testing.check_teacher)):
        run = {c.name for c in check(network, sizes=sizes).checks}
        assert run - found["networks"] == found[kind]


PARTS = [name for name in testing.__all__ if name.startswith(("check_", "fake", "Toy", "toy"))]


@pytest.mark.parametrize("name", PARTS)
def test_every_part_of_the_kit_is_named(name: str) -> None:
    assert f"`{name}`" in GUIDE


def test_optional_members_of_a_loss_are_named() -> None:
    listed = (protocols.Loss.__doc__ or "").split("Optional members")[1]
    members = re.findall(r"``(\w+)", listed)
    assert len(members) >= 5
    for member in members:
        assert f"`{member}" in GUIDE


def test_files_that_it_points_to_exist() -> None:
    for path in ("pyproject.toml", "src/kdcli_pydnet/pydnet.py", "tests/test_pydnet_kdcli.py"):
        assert f"`{path}`" in GUIDE
        assert (ROOT / "plugins" / "kdcli-pydnet" / path).is_file()
