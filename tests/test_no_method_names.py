"""kdcli itself knows no method of kdcli-zoo by name: what that package does, it does through the contract alone."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = tomllib.loads((ROOT / "plugins" / "kdcli-zoo" / "pyproject.toml").read_text(encoding="utf-8"))
POINTS = PACKAGE["project"]["entry-points"]
NAMES = {name for group in POINTS.values() for name in group} | {
    value.partition(":")[0].removeprefix("kdcli_zoo.").replace("_", "-")
    for group in ("kdcli.losses", "kdcli.students") for value in POINTS[group].values()
}
WORDS = {"attention", "boosting", "comparative", "mutual", "one", "relational", "residual", "similarity"}
"""Words that say something else as well: a block of a network, SSIM, the title of a paper. They count as specs only."""
OTHERS = {
    ("residual", "kdcli/cli/fit_transform.py"): "a form of the transformation network",
    ("residual", "kdcli/config/stage.py"): "a form of the transformation network",
    ("residual", "kdcli/transform/network.py"): "a form of the transformation network",
}
"""Name and file -> what else a text that reads like a spec means there."""
FILES = [
    path for path in sorted((ROOT / "kdcli").rglob("*"))
    if path.suffix in (".py", ".toml", ".tmpl") and "__pycache__" not in path.parts
]


def mentioned(text: str) -> set[str]:
    """Return the names, and that of the package, that stand anywhere in a text, in whatever spelling."""
    found = set()
    for name in (NAMES - WORDS) | {"kdcli-zoo"}:
        spelled = "[-_ ]?".join(name.split("-"))
        if re.search(rf"(?<![A-Za-z0-9]){spelled}(?![A-Za-z0-9])", text, flags=re.IGNORECASE):
            found.add(name)
    return found


def specified(text: str) -> set[str]:
    """Return the words that a text names as a plugin: ``NAME``, ``NAME:...``, ``NAME,...``, also within brackets."""
    if re.search(r"\s", text):
        return set()
    parts = re.split(r"[\[\]|]", re.sub(r"^[A-Za-z_][\w\-]*=", "", text))
    return {re.split(r"[:,]", part.removeprefix("kdcli-zoo:"))[0].replace("_", "-") for part in parts} & WORDS


def texts(path: Path, content: str) -> Iterator[str]:
    """Give every string of a file of Python, every key and string of one of TOML."""
    content = re.sub(r"\$\{?\w+\}?", "placeholder", content) if path.suffix == ".tmpl" else content
    if ".toml" in path.suffixes:
        yield from strings(tomllib.loads(content))
    elif ".py" in path.suffixes:
        for node in ast.walk(ast.parse(content)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from () if key == "network" else strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def named(path: Path, content: str) -> set[str]:
    """Return the methods that a file names."""
    return mentioned(content).union(*map(specified, texts(path, content)))


def test_there_is_what_to_look_for_and_where() -> None:
    assert len(NAMES - WORDS) >= 11 and WORDS <= NAMES and len(FILES) > 250


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_kdcli_names_no_method(path: Path) -> None:
    found = named(path, path.read_text(encoding="utf-8"))
    assert found == {name for name, file in OTHERS if file == path.relative_to(ROOT).as_posix()}


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("a.py", "if part.plugin == 'residual': pass", "residual"),
        ("a.py", "registry.build('loss', 'attention,weight=3')", "attention"),
        ("a.py", "SPECS = {'one': 3}", "one"),
        ("a.py", "student = f'residual:[{spec}|{spec}]'", "residual"),
        ("a.py", "teacher = 'mean:[demo|kdcli-zoo:mutual]'", "mutual"),
        ("a.py", "from kdcli_zoo import fsp", "fsp"),
        ("a.py", "import kdcli_zoo", "kdcli-zoo"),
        ("a.py", "class MtPkdot: pass", "mt-pkdot"),
        ("a.py", "# as deep supervision does it", "deep-supervision"),
        ("a.toml", "losses = { 'similarity,grid=4' = 1.0 }", "similarity"),
        ("a.toml", "[[arm]]\nrecipe = 'relational'", "relational"),
        ("a.toml", "teachers = ['big=residual:[demo|demo]']", "residual"),
        ("a.toml", "about = 'FitNets, roughly'", "fitnets"),
        ("a.toml.tmpl", "losses = { $name = 1.0, comparative = 1.0 }", "comparative"),
    ],
)
def test_a_name_is_seen(file: str, content: str, name: str) -> None:
    assert name in named(Path(file), content)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("a.py", '"""A residual block; one minus structural similarity; mutual exclusion."""\nclass Attention: pass'),
        ("a.py", "raise ConfigError('one of them is no attention')"),
        ("a.py", "self.attention = nn.Conv2d(1, 1, 1)  # residual, as in Boosting-Light-Weight-Depth-Estimation"),
        ("a.toml", "network = 'residual'\nabout = 'one, two and three'"),
    ],
)
def test_words_that_say_something_else_are_none(file: str, content: str) -> None:
    assert not named(Path(file), content)
