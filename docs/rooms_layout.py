"""Where rooms and arrows lie in the picture of ``rooms.py``: rows are given, places within them are found here.

Arrows to one room share one line, so that the picture shows who is imported, not a hairball: from every importer a
line goes to the row below and joins there. Lines pass rows in slots of their own, beside the rooms. The order within
rows is the one with the fewest crossings that some sweeps find; nothing depends on chance or on the machine.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import fsum

SLOT = 14
"""Width that a line needs to pass a row."""
GAP = 16
"""Between two rooms, and between a room and a line."""
PORT = 9
"""Between two lines that leave a room."""
STARTS, SWEEPS, STRAIGHTENED = 40, 4, 6

Node = tuple[str, int]
"""A name and its row; in the rows above its own, a room's name stands for the line that leads to it."""
Edges = Mapping[str, Iterable[str]]


class Layout:
    """Rows of nodes from left to right with their middles, and the links between neighbouring rows."""

    def __init__(self, rows: Sequence[Sequence[str]], edges: Edges, widths: Mapping[str, int], wide: int) -> None:
        """rows: rooms from top to bottom. widths: of the rooms. wide: of the picture, at least."""
        self.row_of = {name: number for number, row in enumerate(rows) for name in row}
        self.links: list[list[tuple[Node, Node]]] = [[] for _ in rows]
        """By the upper row: from a room or a line to a line or a room."""
        self.rows: list[list[Node]] = [[(name, number) for name in row] for number, row in enumerate(rows)]
        self._widths = widths
        self._lead(edges)
        self._sort()
        self.wide = max(wide, *(self._offsets(row)[-1] + self._ends(row) for row in self.rows))
        self.middle = self._place()

    def is_room(self, node: Node) -> bool:
        """Whether a node is a room, not a line."""
        return self.row_of[node[0]] == node[1]

    def ports(self, number: int) -> list[tuple[tuple[Node, Node], int, int]]:
        """Return the links below a row with where they leave and arrive: apart on rooms, straight where that goes."""
        found, links = [], self.links[number]
        into = {lower: sum(link[1] == lower for link in links) for _, lower in links}
        for upper in self.rows[number]:
            mine = sorted((link for link in links if link[0] == upper), key=lambda link: self.middle[link[1]])
            if not self.is_room(upper):
                found += [(link, self.middle[upper], self.middle[link[1]]) for link in mine]
                continue
            reach = self.width(upper) // 2 - 8
            low, high = self.middle[upper] - reach, self.middle[upper] + reach
            at = [min(max(self.middle[lower], low), high) for _, lower in mine]
            step = min(PORT, 2 * reach // max(len(mine) - 1, 1))
            for i in range(1, len(at)):
                at[i] = max(at[i], at[i - 1] + step)
            at = [min(place, high - step * (len(at) - 1 - i)) for i, place in enumerate(at)]
            found += [(link, start, self.middle[link[1]]) for link, start in zip(mine, at, strict=True)]
        return [
            (link, start, self._arrival(link[1], start) if into[link[1]] == 1 else end) for link, start, end in found
        ]

    def side_by_side(self) -> dict[str, set[str]]:
        """Return by room to which other rooms lines lead that run beside the lines to it."""
        spans: dict[str, set[int]] = {name: set() for name in self.row_of}
        for number, links in enumerate(self.links):
            for _, lower in links:
                spans[lower[0]].add(number)
        return {
            name: {other for other, theirs in spans.items() if other != name and span & theirs}
            for name, span in spans.items()
        }

    def _arrival(self, lower: Node, start: int) -> int:
        """Return where a line arrives that is the only one: right below its start where the room reaches there."""
        reach = self.width(lower) // 2 - 8 if self.is_room(lower) else 0
        return min(max(start, self.middle[lower] - reach), self.middle[lower] + reach)

    def _lead(self, edges: Edges) -> None:
        for target in sorted({other for below in edges.values() for other in below}):
            above = sorted(self.row_of[name] for name, below in edges.items() if target in below)
            own = self.row_of[target]
            for row in range(above[0] + 1, own):
                self.rows[row].append((target, row))
                self.links[row].append(((target, row), (target, row + 1)))
            for name in sorted(name for name, below in edges.items() if target in below):
                row = self.row_of[name]
                self.links[row].append(((name, row), (target, row + 1)))

    def _sort(self) -> None:
        draw, best, least = random.Random(0), self.rows, None
        for _ in range(STARTS):
            rows = [sorted(row, key=lambda node: draw.random()) for row in self.rows]
            for _ in range(SWEEPS):
                for number in (*range(1, len(rows)), *range(len(rows) - 2, -1, -1)):
                    rows[number] = self._by_neighbours(rows, number)
            _exchange(rows, self.links)
            count = sum(_crossings(rows[n], rows[n + 1], self.links[n]) for n in range(len(rows) - 1))
            if least is None or count < least:
                best, least = rows, count
        self.rows, self.crossings = best, least or 0

    def _by_neighbours(self, rows: list[list[Node]], number: int) -> list[Node]:
        place = {node: i / len(row) for row in rows for i, node in enumerate(row)}
        near = self._near()

        def mean(node: Node) -> float:
            known = [place[other] for other in near.get(node, [])]
            return fsum(known) / len(known) if known else place[node]

        return sorted(rows[number], key=lambda node: (round(mean(node), 9), place[node]))

    def _near(self) -> dict[Node, list[Node]]:
        near: dict[Node, list[Node]] = {}
        for links in self.links:
            for upper, lower in links:
                near.setdefault(upper, []).append(lower)
                near.setdefault(lower, []).append(upper)
        return near

    def width(self, node: Node) -> int:
        """Return how wide a node is."""
        return self._widths[node[0]] if self.is_room(node) else SLOT

    def _place(self) -> dict[Node, int]:
        """Draw every node towards its neighbours, lines first, in the order that is settled."""
        near = self._near()
        middle = {node: (i + 1) * self.wide // (len(row) + 1) for row in self.rows for i, node in enumerate(row)}
        for sweep in range(120):
            order = range(len(self.rows)) if sweep % 2 else range(len(self.rows) - 1, -1, -1)
            for number in order:
                row = self.rows[number]
                wanted, weights = [], []
                for node in row:
                    known = [(middle[other], self._pull(node, other)) for other in near.get(node, [])]
                    known.append((self.wide // 2, 0.02))
                    weight = fsum(pull for _, pull in known)
                    wanted.append(fsum(at * pull for at, pull in known) / weight)
                    weights.append(weight)
                middle |= zip(row, self._apart(row, wanted, weights), strict=True)
        for _ in range(STRAIGHTENED):
            self._straighten(middle)
        return middle

    def _straighten(self, middle: dict[Node, int]) -> None:
        """Let every line run up straight from where it leads, as far as its neighbours leave room."""
        for target, own in sorted(self.row_of.items(), key=lambda item: (-item[1], item[0])):
            at = middle[target, own]
            for number in range(own - 1, -1, -1):
                node = (target, number)
                if node not in middle:
                    break
                row = self.rows[number]
                place, offsets = row.index(node), self._offsets(row)
                low, high = SLOT, self.wide - SLOT
                if place:
                    low = middle[row[place - 1]] + offsets[place] - offsets[place - 1]
                if place + 1 < len(row):
                    high = middle[row[place + 1]] - offsets[place + 1] + offsets[place]
                at = middle[node] = min(max(at, low), high)

    def _pull(self, node: Node, other: Node) -> float:
        lines = (not self.is_room(node)) + (not self.is_room(other))
        return (1.0, 2.0, 8.0)[lines]

    def _apart(self, row: list[Node], wanted: list[float], weights: list[float]) -> list[int]:
        """Return the nearest places that keep the order and the distances (isotonic regression)."""
        offsets = self._offsets(row)
        blocks: list[list[float]] = []  # value, weight, count
        for at, offset, weight in zip(wanted, offsets, weights, strict=True):
            blocks.append([at - offset, weight, 1])
            while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
                value, heavy, count = blocks.pop()
                last = blocks[-1]
                blocks[-1] = [(last[0] * last[1] + value * heavy) / (last[1] + heavy), last[1] + heavy, last[2] + count]
        first, final = self.width(row[0]) // 2, self.wide - self.width(row[-1]) // 2 - offsets[-1]
        flat = [value for value, _, count in blocks for _ in range(int(count))]
        return [round(max(first, min(value, final))) + offset for value, offset in zip(flat, offsets, strict=True)]

    def _offsets(self, row: list[Node]) -> list[int]:
        """Return how far the middles in a row lie from the first at least."""
        offsets = [0]
        for left, right in pairwise(row):
            room = self.is_room(left) or self.is_room(right)
            offsets.append(offsets[-1] + (self.width(left) + self.width(right)) // 2 + (GAP if room else 0))
        return offsets

    def _ends(self, row: list[Node]) -> int:
        return (self.width(row[0]) + self.width(row[-1])) // 2


def _crossings(upper: list[Node], lower: list[Node], links: list[tuple[Node, Node]]) -> int:
    above, below = {n: i for i, n in enumerate(upper)}, {n: i for i, n in enumerate(lower)}
    ends = [(above[a], below[b]) for a, b in links]
    return sum((a - c) * (b - d) < 0 for i, (a, b) in enumerate(ends) for c, d in ends[:i])


def _exchange(rows: list[list[Node]], links: list[list[tuple[Node, Node]]]) -> None:
    """Exchange neighbours as long as that leaves fewer crossings."""

    def count(number: int) -> int:
        total = _crossings(rows[number - 1], rows[number], links[number - 1]) if number else 0
        return total + (_crossings(rows[number], rows[number + 1], links[number]) if number + 1 < len(rows) else 0)

    for number, row in enumerate(rows):
        now, better = count(number), True
        while better:
            better = False
            for i in range(len(row) - 1):
                row[i], row[i + 1] = row[i + 1], row[i]
                then = count(number)
                if then < now:
                    now, better = then, True
                else:
                    row[i], row[i + 1] = row[i + 1], row[i]
