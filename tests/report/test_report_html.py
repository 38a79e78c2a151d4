from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdcli.evals import evaluate
from kdcli.evals.baseline import Constant
from kdcli.report.encoding import png, small
from kdcli.report.evaluation import write_evaluation
from kdcli.report.html import Curves, Details, Facts, Gallery, Picture, Section, Table, Text, render, write_report
from kdcli.report.plots import svg, ticks
from kdcli.types import Sample

NASTY = '<script>alert("x")</script> & \'quotes\''


class Outline(HTMLParser):
    """Collects tags and text, and checks that every element is closed in order."""

    VOID = frozenset({"meta", "img", "line", "rect", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for key, value in attrs if key in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def everything() -> list[Section]:
    picture = Picture(image=torch.rand(3, 4, 5), caption=NASTY)
    return [
        Section(
            title=NASTY,
            blocks=[
                Text(text=NASTY),
                Facts(values={NASTY: NASTY, "none": None}),
                Table(columns=[NASTY, "b"], rows=[[NASTY, 1.5]], caption=NASTY),
                picture,
                Gallery(pictures=[picture, picture], caption=NASTY),
                Curves(series={NASTY: [(0.0, 1.0), (1.0, 2.0)]}, x_label=NASTY, y_label=NASTY, caption=NASTY),
            ],
        )
    ]


def test_a_report_is_one_sound_file_that_loads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    write_report(path, NASTY, everything())
    text = path.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert "script" not in outline.tags
    assert "link" not in outline.tags
    assert len(outline.links) == 3
    assert all(link.startswith("data:image/webp;base64,") for link in outline.links)
    assert "default-src 'none'" in text
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_every_text_is_escaped_and_kept() -> None:
    text = render(NASTY, everything())
    assert "<script" not in text
    outline = Outline()
    outline.feed(text)
    assert outline.text.count(NASTY) >= 13


def test_pictures_are_the_pixels() -> None:
    image = torch.rand(3, 6, 7)
    data = re.search(r"base64,([^\"]+)", render("t", [Section(title="s", blocks=[Picture(image=image)])]))
    assert data is not None
    read = np.array(Image.open(io.BytesIO(base64.b64decode(data[1]))))
    assert np.abs(read.astype(float) / 255 - image.permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6
    given = png(image)
    assert base64.b64encode(given).decode() in render("t", [Section(title="s", blocks=[Picture(image=given)])])


def test_a_row_of_the_wrong_length_is_still_shown() -> None:
    text = render("t", [Section(title="s", blocks=[Table(columns=["a"], rows=[[], [1], [1, 2]])])])
    assert text.count("<tr>") == 4


def test_lines_leave_out_what_is_not_finite() -> None:
    text = svg({"loss": [(0, 1.0), (1, float("nan")), (2, 3.0), (float("inf"), 1.0)]})
    points = re.search(r'polyline points="([^"]+)"', text)
    assert points is not None
    assert len(points[1].split()) == 2
    assert "nan" not in text
    first, last = (tuple(map(float, pair.split(","))) for pair in points[1].split())
    assert first[0] < last[0]
    assert first[1] > last[1]  # larger is higher up


@pytest.mark.parametrize("series", [{}, {"a": []}, {"a": [(0.0, float("nan"))]}])
def test_no_values_make_no_axes(series: dict[str, list[tuple[float, float]]]) -> None:
    assert "no values" in svg(series)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e-9])
def test_a_flat_line_is_drawn(value: float) -> None:
    assert "polyline" in svg({"a": [(0.0, value), (1.0, value)]})


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 100), (-3, 7), (0.013, 0.0147), (0, 12345), (0, 6)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert 2 <= len(marks) <= 6
    assert all(low - 1e-9 <= mark <= high + 1e-9 for mark in marks)
    step = marks[1] - marks[0]
    assert f"{step:.0e}"[0] in "125"


def test_a_long_legend_takes_rows_and_leaves_nothing_outside() -> None:
    names = [f"student a-term-of-some-length.{i}" for i in range(7)]
    drawn = svg({name: [(0.0, float(i)), (1.0, 2.0)] for i, name in enumerate(names)})
    box = re.search(r'viewBox="0 (-?[0-9]+) ([0-9]+) ([0-9]+)"', drawn)
    assert box is not None
    top, width = int(box[1]), int(box[2])
    drawn_names = re.finditer(r'x="([0-9.]+)" y="(-?[0-9.]+)"[^>]*>(student[^<]*)', drawn)
    places = {found[3]: (float(found[1]), float(found[2])) for found in drawn_names}
    assert list(places) == names
    assert all(x + 7.5 * len(name) <= width and y > top for name, (x, y) in places.items())
    assert len({y for _, y in places.values()}) > 1


def test_large_pictures_are_lossy_and_small_ones_are_not() -> None:
    ramp = torch.linspace(0, 1, 640).expand(3, 480, 640)
    noisy = (ramp + 0.02 * torch.randn(3, 480, 640)).clamp(0, 1)
    data, kind = small(noisy)
    assert kind == "image/webp" and len(data) < len(png(noisy)) / 8
    read = torch.from_numpy(np.array(Image.open(io.BytesIO(data)).convert("RGB"))).permute(2, 0, 1) / 255
    assert read.shape == noisy.shape and float((read - noisy).abs().mean()) < 0.03


def test_what_folds_out_says_what_it_is() -> None:
    inner = Table(columns=["a \u2193", "b"], rows=[["x", "0.5 [0.4, 0.6]"]])
    text = render("t", [Section(title="s", blocks=[Details(summary=NASTY, blocks=[inner])])])
    assert "<details><summary>&lt;script&gt;" in text and text.index("<summary>") < text.index("<table>")
    assert "0.5 <small>[0.4, 0.6]</small>" in text and "a\xa0\u2193" in text


class Photographs:
    """Two images of 480 x 640 with detail and noise as cameras have them, and depth with edges."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        draw = torch.Generator().manual_seed(index)
        coarse = torch.rand(1, 3, 15, 20, generator=draw)
        fine = torch.nn.functional.interpolate(coarse, (480, 640), mode="bicubic")[0]
        fine = fine + 0.05 * torch.nn.functional.interpolate(torch.randn(1, 3, 240, 320, generator=draw), (480, 640))[0]
        image = (fine + 0.01 * torch.randn(3, 480, 640, generator=draw)).clamp(0, 1)
        steps = torch.nn.functional.interpolate(1 + 4 * torch.rand(1, 1, 15, 20, generator=draw), (480, 640))[0]
        return Sample(id=f"{index}", image=image, depth=steps + 0.5 * image[:1])


def test_photographs_with_their_maps_stay_small(tmp_path: Path) -> None:
    source = Photographs()
    found = evaluate({"constant": Constant()}, source, distances=True)
    write_evaluation(tmp_path / "r.html", list(found.values()), {"constant": Constant()}, source, worst=2)
    page = (tmp_path / "r.html").read_text()
    pictures = re.findall(r'data:image/webp[^"]*', page)
    # A typical image in three pictures, and the worst in four each; eight photographs are under 1 MB.
    assert len(pictures) == 3 + 2 * 4 and sum(map(len, pictures)) < 375_000
