from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from kdcli.networks.folding import folded
from kdcli.networks.norms import Norm
from kdcli.plugins import registry
from kdcli.training.seeds import seeded


def lively(model: nn.Module) -> nn.Module:
    """Give norms statistics and weights that do something."""
    with seeded(1):
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.6, 1.4)
                nn.init.uniform_(module.weight, 0.7, 1.3)
    return model.eval().requires_grad_(False)


class Chain(nn.Module):
    """Convolutions of each kind, a norm that has nothing before it, and one that two places use."""

    def __init__(self, *, looks: bool = False) -> None:
        super().__init__()
        self.looks = looks
        self.first = nn.BatchNorm2d(3)
        self.one, self.one_norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.up, self.up_norm = nn.ConvTranspose2d(8, 6, 2, stride=2), Norm(6)
        self.twice, self.twice_norm = nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)

    def forward(self, image: Tensor) -> Tensor:
        before = self.one(self.first(image))
        feature = self.up_norm(self.up(torch.relu_(self.one_norm(before))))
        for _ in range(2):
            feature = self.twice_norm(self.twice(feature))
        return feature + before.mean() if self.looks else feature


def test_norms_go_into_the_convolutions_before_them() -> None:
    model, image = lively(Chain()), torch.rand(2, 3, 8, 12)
    before = copy.deepcopy(model.state_dict())
    made, count = folded(model, image)
    assert count == 2
    assert isinstance(made.one_norm, nn.Identity) and isinstance(made.up_norm, nn.Identity)
    assert isinstance(made.first, nn.BatchNorm2d) and isinstance(made.twice_norm, nn.BatchNorm2d)
    other = torch.rand(3, 3, 16, 8)
    assert torch.allclose(made(other), model(other), rtol=1e-5, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in made.parameters())


def test_a_convolution_that_is_looked_at_elsewhere_shows_in_the_numbers() -> None:
    model, image = lively(Chain(looks=True)), torch.rand(2, 3, 8, 12)
    made, count = folded(model, image)
    assert count == 2
    assert float((made(image) - model(image)).abs().max()) > 1e-3  # which is why whoever folds compares


@pytest.mark.parametrize(("spec", "norms"), [("mobilenet,width=0.35", 55), ("fcrn,backbone=resnet18", 25)])
def test_networks_are_folded_with_the_same_depth(spec: str, norms: int) -> None:
    """FCRN's up-projections have convolutions of their own kind, without a bias: their norms stay."""
    model = lively(registry.build("student", spec))
    image = torch.rand(1, 3, 64, 96)
    made, count = folded(model, image)
    assert count == norms
    wanted = model(image).depth
    assert float((made(image).depth - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())
