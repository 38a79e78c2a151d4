"""Options of the object mixer: each has a known answer, and without them nothing differs from the first release."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
import torch
from mixer_scenes import HEIGHT, WIDTH, changed, patterned, scenes, step
from torch import Tensor

from kdcli.mixers.compose import blend, merge_instances, partners, paste
from kdcli.mixers.object import ObjectMixer
from kdcli.mixers.placement import Motion, place
from kdcli.types import Batch

CPU = torch.device("cpu")
FORMS: list[dict[str, Any]] = [
    {}, {"placement": "jitter"}, {"placement": "each"}, {"placement": "each", "min_scale": 0.2, "max_scale": 2},
    {"flip": 0.5}, {"placement": "each", "flip": 0.5, "partner": "self"}, {"partner": "random", "min_scale": 0.5},
    {"placement": "each", "occlusion": True, "min_scale": 0.5, "max_scale": 2}, {"feather": 0.1, "placement": "each"},
]


def digest(batch: Batch) -> str:
    assert batch.instances is not None
    parts = [batch.image, batch.instances, *([] if batch.depth is None else [batch.depth])]
    return hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()[:16]


@pytest.mark.parametrize(
    ("options", "known"),
    [
        # Made with version 0.1.0 of kdcli from the same scenes and seed.
        ({}, "a810de974e145731"),
        ({"objects": 8, "min_area": 0}, "6a3c401766180f2d"),
        ({"probability": 0.5, "max_area": 0.03}, "4cb692212bc3b2cb"),
        ({"placement": "jitter"}, "9597c30c619c10bf"),
        ({"occlusion": True}, "07c75a456ccc9e58"),
        ({"placement": "jitter", "occlusion": True, "objects": 2}, "f577a0e002a7531f"),
        ({"max_ids": 7}, "78651eb660b46a09"),
    ],
    ids=str,
)
def test_without_new_options_the_bytes_are_those_of_the_first_release(options: dict[str, Any], known: str) -> None:
    assert digest(ObjectMixer(**options).mix(patterned(), step(3))) == known


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_a_mixture_is_a_function_of_batch_and_seed(options: dict[str, Any]) -> None:
    batch, mixer = patterned(), ObjectMixer(**options)
    before = digest(batch)
    first = digest(mixer.mix(batch, step(5)))
    assert first == digest(mixer.mix(batch, step(5))) != digest(mixer.mix(batch, step(6)))
    assert digest(batch) == before, "the batch that came in was written to"


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_pixels_outside_the_mask_are_untouched_and_ids_stay_apart(options: dict[str, Any]) -> None:
    batch = patterned()
    assert batch.instances is not None
    out = ObjectMixer(**options).mix(batch, step(1))
    assert out.instances is not None
    pasted = out.instances != batch.instances
    top = batch.instances.flatten(1).amax(1).view(-1, 1, 1)
    assert pasted.any() and not pasted.all()
    assert torch.equal(out.image[(~pasted)[:, None].expand_as(out.image)],
                       batch.image[(~pasted)[:, None].expand_as(out.image)])
    assert (out.instances[pasted] > top.expand_as(pasted)[pasted]).all()


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_empty_masks_leave_the_batch(options: dict[str, Any]) -> None:
    batch = patterned()
    assert batch.instances is not None
    bare = replace(batch, instances=torch.zeros_like(batch.instances))
    for mixer, given in ((ObjectMixer(**options), bare), (ObjectMixer(probability=0, **options), batch)):
        out = mixer.mix(given, step())
        assert torch.equal(out.image, given.image) and torch.equal(out.instances, given.instances)
        assert out.depth is None or torch.equal(out.depth, given.depth)


def boxes(mask: Tensor) -> tuple[int, int, int, int]:
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def test_each_object_is_moved_on_its_own_with_its_pixels() -> None:
    batch = patterned()
    batch = replace(batch, instances=scenes(6).instances)
    assert batch.instances is not None
    out = ObjectMixer(placement="each", objects=3, jitter=0.2).mix(batch, step(4))
    assert out.instances is not None
    order, shifts = partners(6, step(4), CPU), set()
    for i in range(6):
        here = set()
        for number in (1, 2, 3):
            where = out.instances[i] == number + 3
            if not where.any():
                continue
            top, bottom, left, right = boxes(where)
            if (bottom - top, right - left) != (5, 7):
                continue  # partly out of the image or under another
            down, aside = top - (7 * number - 5), left - (9 * number - 5)
            here.add((down, aside))
            assert abs(down) <= 0.2 * HEIGHT + 1 and abs(aside) <= 0.2 * WIDTH + 1
            rows, columns = where.nonzero(as_tuple=True)
            assert torch.equal(
                out.image[i][:, rows, columns], batch.image[order[i]][:, rows - down, columns - aside]
            )
        shifts |= {len(here)}
    assert max(shifts) > 1, "objects of one image went different ways"


def one_box(mask: Tensor) -> tuple[Batch, list[Tensor]]:
    batch = patterned(1)
    return replace(batch, instances=mask.long()[None]), [mask[None]]


def motion(down: float = 0, right: float = 0, zoom: float | None = None, mirror: bool | None = None) -> Motion:
    return Motion(
        down=torch.tensor([[float(down)]]), right=torch.tensor([[float(right)]]),
        zoom=None if zoom is None else torch.tensor([[zoom]]),
        mirror=None if mirror is None else torch.tensor([[mirror]]),
    )


def test_a_mirrored_object_stays_in_its_box_and_is_turned_bit_for_bit() -> None:
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[5:10, 8:17] = True
    mask[5:8, 14:17] = False
    donor, slots = one_box(mask)
    placed = place(donor, slots, motion(right=3, mirror=True))
    assert torch.equal(placed.mask[0, 5:10, 11:20], mask[5:10, 8:17].flip(1)) and placed.mask.sum() == mask.sum()
    found = placed.image[0, :, 5:10, 11:20] * placed.mask[0, 5:10, 11:20]
    assert torch.equal(found, (donor.image[0] * mask)[:, 5:10, 8:17].flip(2))
    assert torch.equal(place(donor, slots, motion(right=3, mirror=False)).mask, slots[0].roll(3, 2))


@pytest.mark.parametrize(("zoom", "size"), [(2.0, (8, 12)), (0.5, (2, 3)), (1.0, (4, 6))])
def test_a_zoomed_object_keeps_its_middle(zoom: float, size: tuple[int, int]) -> None:
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[10:14, 12:18] = True
    donor, slots = one_box(mask)
    ramp = torch.linspace(0, 1, WIDTH).expand(1, 3, HEIGHT, WIDTH).contiguous()
    placed = place(replace(donor, image=ramp), slots, motion(zoom=zoom))
    top, bottom, left, right = boxes(placed.mask[0])
    assert abs(bottom - top + 1 - size[0]) <= 1 and abs(right - left + 1 - size[1]) <= 1
    assert abs((top + bottom) / 2 - 11.5) <= 0.5 and abs((left + right) / 2 - 14.5) <= 0.5
    # On a ramp bilinear reading is exact: the colour at x is that of 14.5 + (x - 14.5) / zoom.
    x = torch.arange(left, right + 1)
    known = (14.5 + (x - 14.5) / zoom) / (WIDTH - 1)
    assert torch.allclose(placed.image[0, 0, top, left : right + 1], known, atol=1e-5)


def test_strong_shrinking_averages_what_it_skips() -> None:
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[2:22, 2:30] = True
    donor, slots = one_box(mask)
    stripes = (torch.arange(WIDTH) % 2).float().expand(1, 3, HEIGHT, WIDTH).contiguous()
    read = {
        levels: place(replace(donor, image=stripes), slots, motion(zoom=0.25), levels=levels) for levels in (0, 1)
    }
    spread = {levels: placed.image[0, 0][placed.mask[0]].sub(0.5).abs().max() for levels, placed in read.items()}
    assert spread[1] < 1e-6, "halved once, stripes of one pixel are grey"
    assert ObjectMixer(min_scale=0.25).placement.levels == 1 and ObjectMixer(min_scale=0.5).placement.levels == 0
    assert ObjectMixer(min_scale=0.2).placement.levels == 2


def test_several_objects_occlude_one_another_and_zoom_changes_depth() -> None:
    donor = scenes(1)
    masks = [torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool) for _ in range(2)]
    masks[0][:, 4:12, 4:12], masks[1][:, 4:12, 20:28] = True, True
    assert donor.depth is not None
    donor.depth[:, :, :, 16:] = 3.0
    receiver = replace(donor, depth=torch.full_like(donor.depth, 2.0))
    both = Motion(down=torch.zeros(1, 2), right=torch.tensor([[8.0, -8.0]]))
    placed = place(donor, masks, both, receiver=receiver)
    assert placed.mask[0, 4:12, 12:20].all() and placed.mask.sum() == 64, "the one at 3 m lies behind"
    assert placed.depth is not None and placed.depth[0, 0, 4:12, 12:20].unique().tolist() == [1.0]
    near = place(donor, masks, replace(both, zoom=torch.tensor([[1.0, 2.0]])), receiver=receiver)
    assert near.depth is not None
    assert sorted(near.depth.unique().tolist()) == [1.0, 1.5, 2.0], "twice as large is half as far: 1.5 m"


def test_partners_of_every_kind() -> None:
    seen = torch.stack([partners(5, step(seed), CPU, "random") for seed in range(200)])
    assert (seen != torch.arange(5)).all() and any(len(row.unique()) < 5 for row in seen)
    shares = torch.stack([(seen[:, 0] == other).float().mean() for other in range(1, 5)])
    assert shares.min() > 0.15 and shares.sum() == 1
    assert partners(5, step(), CPU, "self").tolist() == [0, 1, 2, 3, 4]
    assert partners(1, step(), CPU, "random").tolist() == [0]
    batch = patterned()
    out = ObjectMixer(partner="self", flip=1, objects=1, probability=1).mix(batch, step())
    for i, where in enumerate(changed(batch, out)):
        assert where.any() and torch.isin(out.image[i, 0][where], batch.image[i, 0]).all()


def test_probability_of_a_mirrored_paste() -> None:
    batch = scenes(400)
    assert batch.instances is not None
    side = batch.instances.clone()
    side[:, 2:5, 4:12] = 0
    side[:, 2:5, 4:6] = 1  # box 1 has a thin upper left part
    side[:, 9:, :] = 0
    out = ObjectMixer(flip=0.25).mix(replace(batch, instances=side), step())
    mirrored = changed(batch, out)[:, 3, 10:12].any(1).float().mean()
    assert 0.18 < mirrored < 0.32


def test_paste_equals_blend_and_leaves_gradients_alone() -> None:
    batch = patterned()
    assert batch.instances is not None
    mask, other = batch.instances % 2 == 1, batch.image.roll(1, 0)
    known = blend(batch.image, other, mask[:, None].float())
    assert torch.equal(paste(mask[:, None], other.clone(), batch.image), known)
    ids = merge_instances(batch.instances, batch.instances.roll(1, 0), mask)
    assert ids.max() > batch.instances.max()
    image = batch.image.clone().requires_grad_()
    mixed = ObjectMixer().mix(replace(batch, image=image), step())
    mixed.image.sum().backward()
    assert image.grad is not None and image.grad.min() >= 0 and image.grad.sum() == image.numel()
