"""Sizes that follow from the teacher's and the images'."""

from __future__ import annotations

import pytest

from kdcli.choosing import schedule
from kdcli.choosing.scale import Size, batch_for, size_for
from kdcli.choosing.schedule import updates_for
from kdcli.types import MadeFor

WINDOWS = MadeFor(train_size=(416, 544), domain="indoor")
STREET = MadeFor(train_size=(352, 704), domain="driving")
WHOLE = MadeFor(train_size=(240, 320), eval_size=(480, 640), domain="indoor")
AT_MOST = MadeFor(train_size=(256, 256), eval_size=(256, 256), fit="within")
SQUARE = MadeFor(train_size=(224, 224), eval_size=(224, 224), domain="indoor")


@pytest.mark.parametrize(("made_for", "own", "size", "crop"), [
    (WINDOWS, (480, 640), (480, 640), (416, 544)),  # as the authors: whole frames, windows in training
    (WINDOWS, (640, 480), (640, 480), (544, 416)),
    (WINDOWS, (3024, 4032), (416, 544), None),  # larger than what the teacher knows
    (WINDOWS, (1080, 1920), (352, 640), (352, 544)),
    (STREET, (375, 1242), (375, 1242), (352, 704)),
    (WHOLE, (240, 320), (480, 640), (240, 320)),
    (WHOLE, (720, 1280), (416, 736), (240, 320)),  # the images' shape at the teacher's area
    (SQUARE, (480, 640), (224, 224), None),  # its authors stretch, so do we
    (AT_MOST, (480, 640), (192, 256), None),  # the longer side
    (MadeFor(), (480, 640), (480, 640), None),
    (MadeFor(), (427, 565), (427, 565), None),
    (MadeFor(), (3024, 4032), (480, 640), None),
    (WINDOWS, None, (416, 544), None),  # rendered at any size
    (WHOLE, None, (240, 320), None),
    (MadeFor(), None, (480, 640), None),
])  # fmt: skip
def test_sizes(made_for: MadeFor, own: Size | None, size: Size, crop: Size | None) -> None:
    chosen = size_for(made_for, own)
    assert (chosen.size, chosen.crop) == (size, crop) and chosen.why
    assert crop is None or (crop[0] <= size[0] and crop[1] <= size[1])


def test_a_batch_is_what_fits() -> None:
    assert [batch_for(size, 1000) for size in ((64, 96), (192, 256), (416, 544), (352, 1216))] == [16, 16, 8, 4]
    assert batch_for((64, 96), 3) == 3


def test_more_images_take_longer_and_each_is_seen_less() -> None:
    counts = [500, 5_000, 50_000, 500_000]
    updates = [updates_for(count, 8) for count in counts]
    rounds = [8 * made / count for made, count in zip(updates, counts, strict=True)]
    assert updates == sorted(updates) and rounds == sorted(rounds, reverse=True) and len(set(updates)) == 4


@pytest.mark.parametrize(
    ("images", "updates"), [(50, 1_000), (500, 3_642), (5_000, 14_501), (24_000, 37_165), (500_000, 229_821)]
)
def test_updates_are_those_of_the_table(images: int, updates: int) -> None:
    assert updates_for(images, 16) == updates
    assert updates_for.__doc__ is not None
    assert f"{images:<10,}" in updates_for.__doc__ and f"{updates:,}" in updates_for.__doc__


def test_updates_are_bounded() -> None:
    assert updates_for(0, 16) == updates_for(1, 10**6) == schedule.FEWEST
    assert updates_for(10**8, 1) == schedule.MOST
    assert updates_for(24_000, 8) == pytest.approx(2 * updates_for(24_000, 16), abs=1)
