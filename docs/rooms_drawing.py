"""The picture of ``rooms.py`` as SVG: boxes, lines, a legend. Colours are explicit, for light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rooms_layout import Layout

WIDE, HIGH, PAD, TITLE, TOP = 860, 24, 14, 22, 64
"""Width of the picture (more where a row needs it), height of a room, space around and inside, heights of an open
package's title and of the legend."""
LETTER = 7.7
"""Width of a letter at 13 pixels, generously."""
LINES = ("#2f6db3", "#b0532a", "#3f8042", "#8448a0", "#94720f", "#1f8585", "#b03560", "#5b6675", "#6d5ae0", "#1c2733")
"""Colours of lines, by the room that they lead to."""
PLAIN, PLUGINS, INSIDE = ("#e9f0f8", "#7f97b2"), ("#fdf0d0", "#c39a3c"), ("#ffffff", "#7f97b2")
"""Fill and border of rooms, of those that hold plugins, of open packages."""
TEXT, QUIET, PAPER, BAND = "#1c2733", "#56636f", "#ffffff", "#f3f5f8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is written on a box."""

    label: str
    plugins: bool = False
    """Whether it holds plugins that ship with kdcli."""


class Drawing:
    """Collects shapes; what is drawn first lies below."""

    def __init__(self) -> None:
        self._bands: list[str] = []
        self._lines: list[str] = []
        self._boxes: list[str] = []
        self._wide, self._bottom = WIDE, TOP

    def svg(self) -> str:
        """Return the document."""
        wide, high = self._wide, self._bottom + PAD
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" '
            'role="img" font-family="ui-sans-serif, system-ui, \'Segoe UI\', Helvetica, Arial, sans-serif" '
            f'font-size="13" fill="{TEXT}">'
        )
        paper = f'<rect width="{wide}" height="{high}" rx="8" fill="{PAPER}"/>'
        title = "<title>The rooms of kdcli and what they import</title>"
        return "\n".join([head, title, paper, *_legend(), *self._bands, *self._lines, *self._boxes, "</svg>\n"])

    def draw(
        self, layout: Layout, rooms: Mapping[str, Room], *, inner: Mapping[str, tuple[Layout, Mapping[str, Room]]]
    ) -> None:
        """Draw a house. inner: layouts and rooms of the packages that are shown open."""
        self._wide = layout.wide + 2 * PAD
        self._bottom = self._floors(layout, rooms, PAD, TOP, inner, bands=True)

    def _floors(
        self, layout: Layout, rooms: Mapping[str, Room], left: int, top: int,
        inner: Mapping[str, tuple[Layout, Mapping[str, Room]]], *, bands: bool = False,
    ) -> int:
        """Draw rows from a corner on, and return where they end."""
        colours = _colours(layout)
        for number, row in enumerate(layout.rows):
            own = [name for name, at in row if layout.is_room((name, at))]
            high = max(_height(*inner[name]) if name in inner else HIGH for name in own)
            if bands:
                self._bands.append(_box(PAD // 2, top - 5, self._wide - PAD, high + 10, BAND, BAND))
            for node in row:
                middle = left + layout.middle[node]
                if not layout.is_room(node):
                    self._lines.append(_path(f"M{middle} {top}V{top + high}", colours[node[0]]))
                elif node[0] in inner:
                    self._open(rooms[node[0]], *inner[node[0]], middle, top, high)
                else:
                    self._room(rooms[node[0]], middle, top, layout.width(node))
            below = top + high + _space(layout, number)
            for (_, lower), start, end in layout.ports(number):
                bend = (top + high + below) // 2
                ends = layout.is_room(lower)
                x, to, stop = left + start, left + end, below - (5 if ends else 0)
                way = f"V{stop}" if x == to else f"C{x} {bend + 4} {to} {bend - 4} {to} {stop}"
                self._lines.append(_path(f"M{x} {top + high}{way}", colours[lower[0]]))
                if ends:
                    self._lines.append(f'<path d="M{to - 4} {below - 7}h8l-4 7z" fill="{colours[lower[0]]}"/>')
            top, bottom = below, top + high
        return bottom

    def _room(self, room: Room, middle: int, top: int, wide: int) -> None:
        fill, line = PLUGINS if room.plugins else PLAIN
        self._boxes.append(_box(middle - wide // 2, top, wide, HIGH, fill, line))
        self._boxes.append(f'<text x="{middle}" y="{top + 16}" text-anchor="middle">{room.label}</text>')

    def _open(self, room: Room, layout: Layout, rooms: Mapping[str, Room], middle: int, top: int, high: int) -> None:
        left = middle - layout.wide // 2 - PAD
        self._bands.append(_box(left, top, layout.wide + 2 * PAD, high, *INSIDE))
        self._boxes.append(f'<text x="{left + PAD - 4}" y="{top + 18}" font-weight="bold">{room.label}</text>')
        self._floors(layout, rooms, left + PAD, top + TITLE + 4, {})


def _colours(layout: Layout) -> dict[str, str]:
    """Return a colour for the lines to every room, others beside it where there are enough; the longest first."""
    beside, chosen = layout.side_by_side(), dict[str, str]()
    for name in sorted(beside, key=lambda name: (-len(beside[name]), name)):
        taken = [chosen[other] for other in sorted(beside[name]) if other in chosen]
        used = list(chosen.values())
        chosen[name] = min(LINES, key=lambda colour: (taken.count(colour), used.count(colour)))
    return chosen


def width_of(label: str) -> int:
    """Return how wide a room with a label is."""
    return 2 * round((len(label) * LETTER + 14) / 2)


def _height(layout: Layout, rooms: Mapping[str, Room]) -> int:
    return TITLE + 4 + PAD + len(layout.rows) * HIGH + sum(_space(layout, n) for n in range(len(layout.rows) - 1))


def _space(layout: Layout, number: int) -> int:
    """Return the height that the lines below a row need to bend in."""
    bent = sum(abs(start - end) > 12 for _, start, end in layout.ports(number))
    return 20 + min(2 * bent, 16)


def _legend() -> list[str]:
    """Return what the shapes mean."""
    said = (
        "An arrow: a room imports one below. Lines that join lead to the same room.",
        "Imports that follow from others are left out. Open packages show their own.",
    )
    shapes = [f'<text x="{PAD}" y="{22 + 17 * i}" fill="{QUIET}">{text}</text>' for i, text in enumerate(said)]
    for x, colours, text in ((635, PLAIN, "NAME/ folder, NAME.py file"), (635, PLUGINS, "holds plugins")):
        y = 11 if colours is PLAIN else 28
        shapes.append(_box(x, y, 20, 13, *colours))
        shapes.append(f'<text x="{x + 27}" y="{y + 11}" fill="{QUIET}">{text}</text>')
    return shapes


def _box(x: int, y: int, wide: int, high: int, fill: str, line: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="5" fill="{fill}" stroke="{line}"/>'


def _path(way: str, colour: str) -> str:
    return f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
