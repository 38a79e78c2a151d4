from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kdcli.errors import PluginError
from kdcli.networks.untouched import untouched


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.register_buffer("seen", torch.zeros(1))
        self.register_buffer("cache", None, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.norm(self.first(image))


def net() -> Net:
    return Net().eval()


IMAGE = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def test_evaluation_with_gradient_to_the_image_leaves_no_trace() -> None:
    model = net()
    with untouched({"t": model}):
        image = IMAGE.clone().requires_grad_()
        model.requires_grad_(False)(image).sum().backward()
        model.cache = torch.ones(3)  # what a state dict leaves out is nobody's business
        model.norm.train(False)


def step(model: Net) -> None:
    model.requires_grad_(True)(IMAGE).square().sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (lambda model: model.train()(IMAGE), "norm.running_mean"),
        (lambda model: nn.functional.batch_norm(
            IMAGE.repeat(1, 2, 1, 1)[:, :4], model.norm.running_mean, model.norm.running_var, training=True
        ), "norm.running_mean"),
        (lambda model: model.norm.running_var.data.mul_(1.001), "norm.running_var"),
        (step, "first.weight"),
        (lambda model: model.seen.add_(1), "seen"),
        (lambda model: setattr(model, "seen", torch.zeros(1)), "seen"),
        (lambda model: setattr(model.first, "bias", nn.Parameter(torch.zeros(4))), "first.bias"),
        (lambda model: model.load_state_dict(model.state_dict()), "first.weight"),
        (lambda model: model.register_buffer("more", torch.zeros(1)), "more"),
    ],
)
def test_whatever_writes_is_found(act: Callable[[Net], object], what: str) -> None:
    models = {"fine": net(), "mine": net()}
    with pytest.raises(PluginError, match=f"'mine' changed while it taught: '{what}'"), untouched(models):
        act(models["mine"])


def test_an_error_inside_is_not_covered_up() -> None:
    model = net()
    with pytest.raises(KeyError), untouched({"t": model}):
        model.seen.add_(1)
        raise KeyError
