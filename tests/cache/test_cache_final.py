from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from cache_doubles import Brightness
from torch import Tensor

from kdcli.cache import final_depth
from kdcli.errors import DataError
from kdcli.networks.read_out import resize_map
from kdcli.types import DepthKind, Prediction, ReadOut

IMAGE = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(1))


def test_the_read_out_is_followed() -> None:
    read = ReadOut(focal=100.0, clip=(2.0, 6.0), resize="bilinear-corners")
    teacher = Brightness(read=read)
    focal = torch.tensor([100.0, 150.0])
    raw = teacher(IMAGE).depth * torch.tensor([1.0, 1.5]).view(2, 1, 1, 1)
    expected = resize_map(raw.clamp(2, 6), (24, 32), "bilinear-corners")[:, 0]
    assert torch.equal(final_depth(teacher, IMAGE, (24, 32), flip=False, focal=focal), expected)


def test_flip_is_the_mean_of_both_views() -> None:
    teacher = Brightness()
    one, two = teacher(IMAGE).depth[:, 0], teacher(IMAGE.flip(-1)).depth[:, 0].flip(-1)
    found = final_depth(teacher, IMAGE, (12, 16), flip=True)
    assert torch.allclose(found, (one + two) / 2) and not torch.allclose(found, one)


class Partial(Brightness):
    """Has no opinion on the left half, and holds rubbish there."""

    def forward(self, image: Tensor) -> Prediction:
        said = super().forward(image)
        valid = torch.ones_like(said.depth, dtype=torch.bool)
        valid[..., : image.shape[-1] // 2] = False
        return replace(said, depth=said.depth.where(valid, torch.nan), valid=valid)


def test_what_is_unknown_is_zero_and_does_not_bleed() -> None:
    found = final_depth(Partial(), IMAGE, (24, 32), flip=False)
    whole = final_depth(Brightness(), IMAGE, (24, 32), flip=False)
    assert (found[:, :, :16] == 0).all() and (found[:, :, 16:] > 0).all()
    assert torch.allclose(found[:, :, 18:], whole[:, :, 18:])
    assert (final_depth(Partial(), IMAGE, (12, 16), flip=True) == 0).all()


def test_a_disparity_of_zero_is_known() -> None:
    class Flat(Brightness):
        def forward(self, image: Tensor) -> Prediction:
            return Prediction(depth=torch.zeros_like(image[:, :1]), kind=self.depth_kind)

    found = final_depth(Flat(DepthKind.AFFINE_DISPARITY), IMAGE, (12, 16), flip=False)
    assert (found != 0).all() and (found.abs() < 1e-5).all()
    assert (final_depth(Flat(), IMAGE, (12, 16), flip=False) == 0).all()


def test_not_a_number_names_the_image() -> None:
    class Broken(Brightness):
        def forward(self, image: Tensor) -> Prediction:
            depth = torch.ones_like(image[:, :1])
            depth[1, 0, 0, 0] = torch.nan
            return Prediction(depth=depth, kind=self.depth_kind)

    with pytest.raises(DataError, match="image 'two'"):
        final_depth(Broken(), IMAGE, (12, 16), flip=False, ids=["one", "two"])
