from __future__ import annotations

import pytest
import torch

from kdcli.networks.decoder import Decoder, resize
from kdcli.networks.normalise import IMAGENET_MEAN, IMAGENET_STD, Normalise


def test_normalised_images_are_those_of_the_definition() -> None:
    image = torch.rand(2, 3, 5, 7)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    normalise = Normalise()
    assert torch.allclose(normalise(image), (image - mean) / std, atol=1e-6)
    assert not normalise.state_dict()
    assert normalise.to(torch.float64).mean.dtype is torch.float64


@pytest.mark.parametrize(
    "sizes", [[(32, 48), (16, 24), (8, 12)], [(36, 50), (18, 25), (9, 13)], [(5, 3), (3, 2), (2, 1)]]
)
def test_every_level_takes_the_size_of_its_skip(sizes: list[tuple[int, int]]) -> None:
    channels = [8, 16, 24]
    decoder = Decoder(channels, [2, 4, 8], width=4)
    pyramid = [torch.rand(2, count, *size) for count, size in zip(channels, sizes, strict=True)]
    assert decoder(pyramid).shape == (2, 4, *sizes[0])
    assert (decoder.widths, decoder.strides, decoder.channels) == ((8, 4), (4, 2), 4)


def test_a_pyramid_that_starts_coarser_is_doubled_to_stride_2() -> None:
    decoder = Decoder([8, 16], [4, 8], width=4)
    assert decoder.strides == (4, 2)
    assert decoder([torch.rand(1, 8, 9, 13), torch.rand(1, 16, 5, 7)]).shape == (1, 4, 18, 26)


def test_a_pyramid_that_starts_at_stride_1_stays_there() -> None:
    decoder = Decoder([4, 8], [1, 2], width=4)
    assert decoder.strides == (1,)
    assert decoder([torch.rand(1, 4, 10, 12), torch.rand(1, 8, 5, 6)]).shape == (1, 4, 10, 12)


def test_width_doubles_with_coarser_levels_up_to_four_times() -> None:
    assert Decoder([8, 8, 8, 8, 8], [2, 4, 8, 16, 32], width=16).widths == (64, 64, 32, 16)


def test_every_parameter_and_every_skip_is_used() -> None:
    decoder = Decoder([3, 5, 7], [4, 8, 16], width=4)
    pyramid = [torch.rand(2, c, s, s, requires_grad=True) for c, s in ((3, 8), (5, 4), (7, 2))]
    (decoder(pyramid) * torch.rand(2, 4, 16, 16)).sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in decoder.parameters())
    assert all(f.grad is not None and bool(f.grad.abs().sum() > 0) for f in pyramid)


def test_resize_keeps_a_plane() -> None:
    # With centres aligned, a linear map stays linear away from the border.
    ramp = (torch.arange(8.0) + 0.5).expand(1, 1, 8, 8)
    assert torch.allclose(resize(ramp, 16, 16)[0, 0, 5, 2:-2], (torch.arange(16.0)[2:-2] + 0.5) / 2)
