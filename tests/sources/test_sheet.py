"""Contact sheets show whether depth lies where its image says, whatever the depth is like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from kdcli.sources.sheet import sheet_of
from kdcli.sources.sheet.objects import object_names
from kdcli.sources.sheet.overlays import Overlay, depth_picture
from kdcli.sources.sheet.rows import caption
from kdcli.types import DepthKind, Sample

IMAGE = torch.full((3, 60, 80), 0.4)
STEP = torch.full((1, 60, 80), 4.0)
STEP[:, :, 30:] = 2.0
"""Near from column 30 on."""


def test_a_jump_is_a_line_and_a_slope_is_none() -> None:
    drawn = depth_picture(IMAGE, STEP, None, "edges")
    line = (drawn - torch.tensor([1.0, 0.1, 0.9])[:, None, None]).abs().sum(0) < 1e-5
    assert line.sum(0).nonzero().flatten().tolist() == [29] and bool(line[:, 29].all())
    slope = torch.linspace(1, 4, 80).expand(1, 60, 80).contiguous()
    assert torch.allclose(depth_picture(IMAGE, slope, None, "edges"), 0.55 * IMAGE)


def test_the_rim_of_a_hole_is_no_line() -> None:
    valid = torch.ones(1, 60, 80, dtype=torch.bool)
    valid[:, 20:40, 50:70] = False
    flat = torch.full((1, 60, 80), 2.0) * valid
    assert torch.allclose(depth_picture(IMAGE, flat, valid, "edges"), 0.55 * IMAGE)


@pytest.mark.parametrize("overlay", ["over", "edges", "beside"])
def test_sparse_depth_is_dots_that_can_be_seen(overlay: Overlay) -> None:
    depth, valid = torch.zeros(1, 120, 160), torch.zeros(1, 120, 160, dtype=torch.bool)
    for x in range(10, 160, 20):
        depth[0, 30, x], valid[0, 30, x] = 2.0 + x / 40, True
    drawn = depth_picture(IMAGE, depth, valid, overlay)
    changed = (drawn - (0.5 if overlay == "beside" else 0.4)).abs().amax(0) > 0.02
    rows, columns = changed.nonzero().unbind(1)
    assert set(rows.tolist()) == {14, 15, 16}
    assert set(columns.tolist()) == {x // 2 + dx for x in range(10, 160, 20) for dx in (-1, 0, 1)}


def test_the_nearer_point_lies_above() -> None:
    depth, valid = torch.zeros(1, 60, 80), torch.zeros(1, 60, 80, dtype=torch.bool)
    depth[0, 30, 40], depth[0, 30, 41], depth[0, 5, 5] = 2.0, 8.0, 8.0
    valid[0, 30, 40:42] = valid[0, 5, 5] = True
    drawn = depth_picture(IMAGE, depth, valid, "beside")
    assert torch.equal(drawn[:, 30, 41], drawn[:, 30, 39]) and not torch.equal(drawn[:, 30, 41], drawn[:, 5, 5])


def test_disparity_is_near_where_it_is_large() -> None:
    depth = depth_picture(IMAGE, STEP, None, "beside")
    disparity = depth_picture(IMAGE, 1 / STEP, None, "beside", disparity=True)
    assert torch.allclose(depth, disparity, atol=0.02)
    assert torch.equal(depth_picture(IMAGE, 1 / STEP, None, "edges", disparity=True),
                       depth_picture(IMAGE, STEP, None, "edges"))


class Relative:
    """A source of disparity."""

    name, depth_kind = "relative", DepthKind.AFFINE_DISPARITY

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return Sample(id="a", image=IMAGE, depth=1 / STEP)

    def check(self) -> Sequence[object]:
        return []


def test_the_kind_of_a_source_counts() -> None:
    from kdcli.sources.sheet import contact_sheet

    metric = sheet_of([Sample(id="a", image=IMAGE, depth=STEP)], height=60)
    assert torch.allclose(contact_sheet(Relative(), height=60), metric, atol=0.02)  # type: ignore[arg-type]


def test_words_say_what_an_item_is() -> None:
    valid = torch.ones(1, 30, 40, dtype=torch.bool)
    valid[:, :3] = False
    sample = Sample(
        id="kitchen/7.png", image=IMAGE, depth=torch.full((1, 30, 40), 2.5), valid=valid,
        intrinsics=torch.tensor([40.0, 41.0, 39.5, 29.5]),
    )
    assert caption(sample) == [
        "kitchen/7.png", "80x60  depth 40x30 2.5-2.5 m, 90%  f 40 41, c 39.5 29.5, 90 deg",
    ]
    assert caption(replace(sample, depth=None, valid=None, intrinsics=None)) == ["kitchen/7.png", "80x60"]
    plain = sheet_of([sample], height=120)
    assert plain.shape == (3, 120, 2 * 160 + 4) and float(plain[:, :, :160].min()) > 0.3  # too low for words
    worded = sheet_of([sample], height=240)
    assert float(worded[:, 200:, :320].min()) == 0.0 and float(worded[:, :180, :320].min()) > 0.3


def test_large_objects_bear_their_number() -> None:
    ids = torch.zeros(60, 80, dtype=torch.int64)
    ids[10:30, 20:60], ids[50, 50] = 7, 9
    (word,) = object_names(ids)
    assert word.text == "7" and 10 / 60 < word.y < 30 / 60 and 20 / 80 < word.x < 60 / 80
