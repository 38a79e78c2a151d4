"""Draw ``docs/images/rooms.svg``: the rooms of kdcli, floor by floor, and which imports which.

::

    python docs/rooms.py [OUT.svg]

Floors are the layers that ``pyproject.toml`` gives to import-linter, arrows the imports that grimp finds; an import
that follows from others is left out. Needs import-linter, which brings grimp along.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import grimp
from rooms_drawing import PAD, WIDE, Drawing, Room, width_of
from rooms_layout import Edges, Layout

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "images" / "rooms.svg"
HOUSE = "kdcli"
OPEN = ("training", "plugins")
"""Packages that are shown with their rooms inside."""


class House:
    """The rooms of kdcli: their floors, their imports, which of them hold plugins."""

    def __init__(self, graph: Any, settings: Mapping[str, Any]) -> None:
        """graph: of grimp. settings: of pyproject.toml."""
        self._graph = graph
        self._layers = {
            contract["containers"][0]: [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
            for contract in settings["tool"]["importlinter"]["contracts"]
            if contract["type"] == "layers"
        }
        points = settings["project"]["entry-points"].values()
        self._holding = {module_of(value) for group in points for value in group.values()}

    def svg(self) -> str:
        """Return the picture."""
        inner = {name: self.layout(f"{HOUSE}.{name}") for name in OPEN}
        widths = {name: layout.wide + 2 * PAD for name, layout in inner.items()}
        drawing = Drawing()
        drawing.draw(self.layout(HOUSE, widths, WIDE - 2 * PAD), self.rooms(HOUSE), inner={
            name: (layout, self.rooms(f"{HOUSE}.{name}")) for name, layout in inner.items()
        })
        return drawing.svg()

    def layout(self, package: str, widths: Mapping[str, int] | None = None, wide: int = 0) -> Layout:
        """Return where the rooms of a package lie."""
        edges = reduced(self.imports(package))
        rooms = self.rooms(package)
        needed = {name: width_of(room.label) for name, room in rooms.items()}
        return Layout(self._layers.get(package) or floors(edges, rooms), edges, needed | dict(widths or {}), wide)

    def rooms(self, package: str) -> dict[str, Room]:
        """Return the rooms of a package by name."""
        found = {}
        for module in sorted(self._graph.find_children(package)):
            name = module.rpartition(".")[2]
            if not name.startswith("__"):
                folder = ROOT.joinpath(*module.split(".")).is_dir()
                found[name] = Room(label=name + ("/" if folder else ".py"), plugins=module in self._holding)
        return found

    def imports(self, package: str) -> dict[str, set[str]]:
        """Return which rooms of a package import which others of it, by name."""
        found: dict[str, set[str]] = {name: set() for name in self.rooms(package)}
        for module in sorted(self._graph.find_descendants(package)):
            room = room_of(module, package)
            others = {room_of(other, package) for other in self._graph.find_modules_directly_imported_by(module)}
            if room in found:
                found[room] |= {other for other in others if other in found and other != room}
        return found


def reduced(edges: Edges) -> dict[str, list[str]]:
    """Return the edges without those that follow from others, in order of names."""
    beyond: dict[str, set[str]] = {}

    def reach(name: str) -> set[str]:
        if name not in beyond:
            below = set(edges.get(name, ()))
            beyond[name] = below.union(*(reach(other) for other in below))
        return beyond[name]

    return {
        name: sorted(other for other in below if not any(other in reach(between) for between in below))
        for name, below in sorted((name, set(below)) for name, below in edges.items())
    }


def floors(edges: Edges, names: Iterable[str], most: int = 5) -> list[list[str]]:
    """Return rows of at most so many rooms, each below all that import it; those with the most below them first."""
    height: dict[str, int] = {}

    def high(name: str) -> int:
        if name not in height:
            height[name] = 1 + max((high(other) for other in edges.get(name, ())), default=-1)
        return height[name]

    waiting = sorted(names, key=lambda name: (-high(name), name))
    rows: list[list[str]] = []
    while waiting:
        imported = {other for name in waiting for other in edges.get(name, ())}
        rows.append([name for name in waiting if name not in imported][:most])
        waiting = [name for name in waiting if name not in rows[-1]]
    return rows


def room_of(module: str, package: str) -> str:
    """Return in which room of a package a module lies; empty outside."""
    return module.removeprefix(f"{package}.").partition(".")[0] if module.startswith(f"{package}.") else ""


def module_of(entry_point: str) -> str:
    """Return the room, with its package, that an entry point leads into."""
    return f"{HOUSE}.{room_of(entry_point.partition(':')[0], HOUSE)}"


def main(out: Path) -> None:
    """Write the picture."""
    sys.path.insert(0, str(ROOT))  # this tree, not an installed one
    graph = grimp.build_graph(HOUSE, cache_dir=None)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(House(graph, settings).svg(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
