from __future__ import annotations

import pytest
import torch
from mixer_scenes import Step, changed, scenes, step

from kdcli.errors import ConfigError
from kdcli.mixers.compose import beta, merge_instances, partners
from kdcli.mixers.cutmix import CutMix
from kdcli.mixers.mixup import MixUp
from kdcli.mixers.object import ObjectMixer
from kdcli.plugins import registry
from kdcli.testing import check_mixer
from kdcli.types import Batch

SPECS = [
    "none", "object", "object,placement=jitter", "object,occlusion=true", "object,feather=0.1", "cutmix",
    "cutmix,labels=true", "mixup", "dfad,latent=8,width=4", "object,placement=each", "object,partner=random",
    "object,placement=each,min_scale=0.2,max_scale=2,flip=0.5", "object,flip=1,min_scale=0.5",
    "object,placement=each,occlusion=true,max_scale=1.5", "object,placement=each,partner=self,feather=0.1",
]


@pytest.mark.parametrize("spec", SPECS)
def test_every_mixer_and_form_keeps_the_contract(spec: str) -> None:
    check_mixer(spec)


@pytest.mark.parametrize("spec", SPECS)
def test_nothing_leaves_the_device(spec: str) -> None:
    # On the meta device any look at a value from the host fails, and so does a tensor made elsewhere.
    out = registry.build("mixer", spec).mix(scenes().to("meta"), Step(generator=None))
    assert out.image.is_meta


def test_object_pixels_are_the_partners_and_all_others_untouched() -> None:
    batch = scenes()
    out = ObjectMixer(objects=2).mix(batch, step())
    moved = changed(batch, out)
    order = partners(4, step(), torch.device("cpu"))
    for i in range(4):
        assert torch.equal(out.image[i][:, moved[i]], batch.image[order[i]][:, moved[i]])
        assert torch.equal(out.image[i][:, ~moved[i]], batch.image[i][:, ~moved[i]])
        # Whole objects of 48 pixels each, one or two of them, cut along the partner's map.
        assert int(moved[i].sum()) in (48, 96)
        assert (batch.instances[order[i]][moved[i]] > 0).all()
    assert out.depth is None and out.valid is None and out.labelled is None


def test_pasted_ids_stay_distinct() -> None:
    batch = scenes()
    out = ObjectMixer(objects=1).mix(batch, step(1))
    moved = changed(batch, out)
    for i in range(4):
        pasted = out.instances[i][moved[i]].unique()
        assert len(pasted) == 1 and pasted > 3
        assert torch.equal(out.instances[i][~moved[i]], batch.instances[i][~moved[i]])
    under, over = torch.tensor([[[0, 2, 2]]]), torch.tensor([[[5, 0, 1]]])
    mask = torch.tensor([[[True, True, False]]])
    assert merge_instances(under, over, mask).tolist() == [[[7, 0, 2]]]


def test_number_of_objects_is_uniform_and_probability_holds() -> None:
    batch = scenes(600)
    areas = changed(batch, ObjectMixer(objects=3).mix(batch, step(2))).sum((1, 2)) // 48
    counts = torch.bincount(areas, minlength=4)
    assert counts[0] == 0 and counts[1:].min() > 150
    share = changed(batch, ObjectMixer(probability=0.25).mix(batch, step(3))).any(2).any(1).float().mean()
    assert 0.18 < share < 0.32


def test_no_eligible_object_leaves_the_batch_as_it_is() -> None:
    batch = scenes()
    empty = Batch(ids=batch.ids, image=batch.image, instances=torch.zeros_like(batch.instances))
    assert torch.equal(ObjectMixer().mix(empty, step()).image, batch.image)
    for mixer in (ObjectMixer(min_area=0.07), ObjectMixer(max_area=0.01), ObjectMixer(probability=0)):
        out = mixer.mix(batch, step())
        assert torch.equal(out.image, batch.image) and torch.equal(out.instances, batch.instances)


def test_ids_beyond_the_table_are_cut_whole() -> None:
    batch = scenes()
    far = Batch(ids=batch.ids, image=batch.image, instances=batch.instances * 70001)
    out = ObjectMixer(objects=1, max_ids=64).mix(far, step())
    assert (changed(batch, out).sum((1, 2)) % 48 == 0).all() and changed(batch, out).any()


def test_occlusion_pastes_only_what_is_nearer_and_keeps_true_depth() -> None:
    batch = scenes()
    out = ObjectMixer(occlusion=True).mix(batch, step())
    assert out.depth is not None and out.valid is not None and out.labelled is not None
    assert (out.depth <= batch.depth).all()
    moved = changed(batch, out)
    assert torch.equal(moved, (out.depth < batch.depth)[:, 0])
    assert not moved[0].any(), "scene 0 is nearest of all: nothing may cover it"
    assert moved[1:].any()
    # Colour and depth come from the same scene.
    assert torch.allclose(out.image[:, :1], out.depth / 5)
    hidden = Batch(ids=batch.ids, image=batch.image, depth=batch.depth, valid=~batch.valid, instances=batch.instances)
    assert torch.equal(ObjectMixer(occlusion=True).mix(hidden, step()).image, batch.image)


def test_feather_fades_inside_the_mask_only() -> None:
    batch = scenes(2)
    hard, soft = ObjectMixer().mix(batch, step()), ObjectMixer(feather=0.09).mix(batch, step())
    outside = ~changed(batch, hard)
    assert torch.equal(soft.image[:, 0][outside], batch.image[:, 0][outside])
    between = (soft.image != batch.image) & (soft.image != hard.image)
    assert between.any()
    low, high = torch.minimum(batch.image, hard.image), torch.maximum(batch.image, hard.image)
    assert ((soft.image >= low) & (soft.image <= high)).all()


def test_jitter_moves_objects_and_loses_what_leaves_the_image() -> None:
    batch = scenes(32)
    out = ObjectMixer(objects=1, placement="jitter", jitter=0.5).mix(batch, step())
    moved = changed(batch, out)
    at_home = (batch.instances > 0) & moved
    assert moved.any() and (moved & ~at_home).any(), "some land where no box was"
    assert (moved.sum((1, 2)) <= 48).all()
    # What is pasted is one partner's colour, so it came from inside that image.
    for i in range(32):
        assert len(out.image[i, 0][moved[i]].unique()) <= 1


def test_object_refuses_what_it_cannot_do() -> None:
    batch = scenes()
    with pytest.raises(ConfigError, match=r"needs instance maps.*sim:blocks"):
        ObjectMixer().mix(Batch(ids=batch.ids, image=batch.image), step())
    with pytest.raises(ConfigError, match="needs depth"):
        ObjectMixer(occlusion=True).mix(Batch(ids=batch.ids, image=batch.image, instances=batch.instances), step())
    wrong = [
        lambda: ObjectMixer(probability=1.5), lambda: ObjectMixer(objects=0),
        lambda: ObjectMixer(min_scale=1.5), lambda: ObjectMixer(max_scale=0.5), lambda: ObjectMixer(flip=2),
        lambda: ObjectMixer(min_scale=0), lambda: ObjectMixer(partner="self"), lambda: ObjectMixer(min_area=0.6),
        lambda: ObjectMixer(feather=0.1, occlusion=True), lambda: CutMix(alpha=0), lambda: MixUp(probability=-1),
    ]
    for make in wrong:
        with pytest.raises(ConfigError):
            make()


def test_cutmix_pastes_one_box_of_the_partner() -> None:
    batch = scenes(64)
    out = CutMix(labels=True).mix(batch, step())
    moved = changed(batch, out)
    for mask in moved:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None, :])
    share = moved.float().mean((1, 2))
    assert 0.2 < share.mean() < 0.45 and share.std() > 0.1
    assert torch.allclose(out.image[:, :1], out.depth / 65)
    assert CutMix().mix(batch, step()).depth is None


def test_mixup_is_convex_keeps_the_own_image_dominant_and_drops_labels() -> None:
    batch = scenes(64)
    out = MixUp().mix(batch, step())
    order = partners(64, step(), torch.device("cpu"))
    other = batch.image[order]
    share = ((out.image - batch.image) / (other - batch.image))[:, 0]
    assert share.min() >= 0 and share.max() <= 0.5 + 1e-5
    assert torch.allclose(share.amax((1, 2)), share.amin((1, 2)), atol=1e-4)
    assert out.depth is None and out.valid is None and out.instances is None and out.labelled is None
    assert torch.equal(MixUp(probability=0).mix(batch, step()).image, batch.image)


def test_nobody_is_its_own_partner() -> None:
    for count in range(2, 9):
        for seed in range(10):
            order = partners(count, step(seed), torch.device("cpu"))
            assert (order != torch.arange(count)).all() and (order.sort().values == torch.arange(count)).all()
    assert partners(1, step(), torch.device("cpu")).tolist() == [0]


def test_beta_has_the_right_moments() -> None:
    for alpha in (0.4, 1.0, 3.0):
        drawn = beta(20000, alpha, step(), torch.device("cpu"))
        assert drawn.mean().item() == pytest.approx(0.5, abs=0.01)
        assert drawn.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.04)
