"""The page on architecture shows the house as it stands: its picture, and the files and functions that it names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"

Box = tuple[float, float, float, float]


def boxes() -> list[tuple[str, Box]]:
    """Return what is written on the picture's boxes, with left, top, right and bottom."""
    drawn = ElementTree.parse(PICTURE).getroot()
    labels = [text for text in drawn.iter(f"{SVG}text") if (text.text or "").endswith(("/", ".py"))]
    sides = ("x", "y", "width", "height")
    rects = [tuple(float(rect.get(side, 0)) for side in sides) for rect in drawn.iter(f"{SVG}rect")]
    found = []
    for label in labels:
        x, y = float(label.get("x", 0)), float(label.get("y", 0))
        around = [(left, top, left + wide, top + high) for left, top, wide, high in rects
                  if left <= x <= left + wide and top <= y <= top + high]
        found.append((str(label.text), min(around, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))))
    return found


@pytest.mark.skipif(find_spec("grimp") is None, reason="grimp is not installed; it comes with import-linter")
def test_picture_is_the_one_of_these_imports(tmp_path: Path) -> None:
    made = tmp_path / "rooms.svg"
    subprocess.run([sys.executable, str(ROOT / "docs" / "rooms.py"), str(made)], cwd=tmp_path, check=True)
    same = made.read_bytes() == PICTURE.read_bytes()
    assert same, "rooms, or imports between them, have changed; draw them anew with: python docs/rooms.py"


def test_every_room_is_in_the_picture() -> None:
    labels = {label for label, _ in boxes()}
    for folder in ("", "training", "plugins"):
        for path in (ROOT / "kdcli" / folder).iterdir():
            if path.name.startswith("__"):
                continue
            if path.suffix == ".py" or (path / "__init__.py").is_file():
                assert (path.name if path.is_file() else f"{path.name}/") in labels


def test_boxes_lie_apart_and_hold_their_labels() -> None:
    found = boxes()
    view = ElementTree.parse(PICTURE).getroot().get("viewBox", "").split()
    for label, (left, top, right, bottom) in found:
        assert right - left >= 6.5 * len(label), label
        assert left >= 0 and top >= 0 and right <= float(view[2]) and bottom <= float(view[3]), label
    for (one, a), (other, b) in combinations(found, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        inside = any(p[0] < q[0] and p[1] < q[1] and p[2] > q[2] and p[3] > q[3] for p, q in ((a, b), (b, a)))
        assert apart or inside, (one, other)


def defined(path: Path) -> set[str]:
    """Return the functions, classes, methods and constants of a file, methods as ``Class.method`` too."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            names |= {*methods, *(f"{node.name}.{method}" for method in methods)}
    return names


def walked() -> list[tuple[str, str]]:
    """Return the files of the walk's table, each with the code that its row names."""
    table = PAGE.split("## One batch, walked through")[1].split("\n## ")[0]
    return re.findall(r"^\| \d+ \| `([\w/]+\.py)` \| (.*) \|$", table, flags=re.MULTILINE)


def named() -> list[tuple[Path, str]]:
    """Return the files that the page names, with the folder that a row of the table of training's rooms is about."""
    found = []
    for line in PAGE.splitlines():
        row = re.match(r"\| `(\w+)` \|", line)
        room = ROOT / "kdcli" / "training" / row[1] if row else ROOT
        found += [(room, file) for file in re.findall(r"`((?:\w+/)*\w+\.(?:py|toml))`", line)]
    return found


def test_files_of_the_page_exist() -> None:
    assert len(named()) > 30
    for room, file in named():
        places = [room / file, ROOT / file, ROOT / "kdcli" / file]
        assert any(place.is_file() for place in places), f"docs/architecture.md names '{file}', which is not there"


@pytest.mark.parametrize(("file", "said"), walked())
def test_functions_of_the_walk_are_in_their_files(file: str, said: str) -> None:
    known = defined(ROOT / "kdcli" / file)
    named = re.findall(r"`([\w.]+)\(\)`", said)
    assert named, f"the walk names no function of '{file}'"
    for name in named:
        assert name in known, f"docs/architecture.md names {name}() of '{file}', which has none"


def test_other_functions_of_the_page_exist() -> None:
    everywhere = {name for path in (ROOT / "kdcli").rglob("*.py") for name in defined(path)}
    for name in re.findall(r"`([\w.]+)\(\)`", PAGE):
        assert name in everywhere, f"docs/architecture.md names {name}(), which is nowhere"


def test_the_walk_is_found() -> None:
    assert len(walked()) > 8
