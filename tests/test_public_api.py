"""The page of public names is true, and the packages that come with kdcli use nothing else."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "public-api.md").read_text(encoding="utf-8")
PUBLIC = {
    module: set(re.findall(r"`([A-Za-z_]\w*)`", names))
    for module, names in re.findall(r"^\| `(kdcli[\w.]*)` \| (.+?) \| ", PAGE, flags=re.MULTILINE)
}


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_there(module: str) -> None:
    found = importlib.import_module(module)
    assert PUBLIC[module] and not [name for name in PUBLIC[module] if not hasattr(found, name)]


def outside() -> Iterator[Path]:
    """Sources of packages that stand on the public names alone."""
    yield from ROOT.glob("plugins/*/src/**/*.py")
    yield from ROOT.glob("kdcli/scaffold/templates/*.py.tmpl")
    yield from ROOT.glob("tests/contract/packages/**/*.py")


@pytest.mark.parametrize("path", outside(), ids=lambda path: path.name)
def test_packages_use_public_names_only(path: Path) -> None:
    text = re.sub(r"\$\{?\w+\}?", "placeholder", path.read_text(encoding="utf-8"))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "kdcli":
            assert node.module in PUBLIC, f"{path.name} imports {node.module}"
            assert {alias.name for alias in node.names} <= PUBLIC[node.module] | {"check_placeholder"}


def test_the_recipe_of_the_page_on_training_resolves() -> None:
    from kdcli.config import load, teachers_of

    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    section = page.split("## Several stages")[1].split("\n## ")[0]
    config = load("page", section.split("```toml\n")[1].split("```")[0])
    assert teachers_of(config.main) == {"large": "demo", "light": "stage:aux"}
    assert config.twin is not None and [stage.name for stage in config.twin.stages(config.stages)] == ["main"]
