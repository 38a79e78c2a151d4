"""What coremltools makes of PyTorch's operators, followed by their definitions, gives PyTorch's numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.exporters.formats.coreml import APART
from kdcli.exporters.formats.native import quiet
from kdcli.exporters.mil.follow import follow, unknown
from kdcli.exporters.mil.program import Program, program_of


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    with quiet():
        pytest.importorskip("coremltools", reason="coremltools is not installed: pip install 'kdcli[coreml]'")


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.all = nn.LayerNorm(4), nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        q, k, v = self.all(tokens).reshape(1, -1, 3, 2, 2).permute(2, 0, 3, 1, 4).unbind(0)
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, -1, 4)


class Own(nn.Module):
    def __init__(self, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(x)


def resized(size: tuple[int, int], mode: str, align: bool | None = None) -> nn.Module:
    return Own(lambda x: functional.interpolate(x, size=size, mode=mode, align_corners=align))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(4, 8, 3, 2, 1, bias=False), nn.ReLU(), nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 5, groups=8, padding="same"), nn.Conv2d(8, 4, (1, 3), dilation=(1, 2)),
    ),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), nn.ConvTranspose2d(6, 2, 2, 2)),
    "pools": lambda: nn.Sequential(
        nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.AvgPool2d(2, ceil_mode=True)
    ),
    "squeeze and excite": lambda: Own(lambda x: x * torch.sigmoid(functional.adaptive_avg_pool2d(x, 1))),
    "bilinear": lambda: resized((16, 24), "bilinear", False),
    "bilinear to corners": lambda: resized((16, 24), "bilinear", True),
    "bilinear to an odd size": lambda: resized((13, 31), "bilinear", False),
    "bilinear, smaller": lambda: resized((5, 7), "bilinear", False),
    "nearest": lambda: resized((16, 24), "nearest"),
    "hard curves": lambda: nn.Sequential(nn.Hardswish(), nn.Hardsigmoid(), nn.ReLU6()),
    "smooth curves": lambda: nn.Sequential(nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.Softplus(), nn.Mish(), nn.ELU()),
    "entropy in parts": lambda: Own(
        lambda x: sum(torch.special.entr(one).sum(1, True) for size in (3, 9) for one in x.softmax(1).split(size, 1))
    ),
    "leaking": lambda: nn.Sequential(nn.LeakyReLU(0.2), nn.PReLU(4)),
    "norms": lambda: nn.Sequential(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)),
    "attention": Attention,
    "padding": lambda: nn.Sequential(
        nn.ReflectionPad2d((1, 2, 3, 0)), nn.ReplicationPad2d(1), nn.ZeroPad2d((0, 1, 0, 1))
    ),
    "shuffled": lambda: nn.Sequential(nn.PixelShuffle(2), nn.Flatten(), nn.Softmax(1)),
    "pieces": lambda: Own(lambda x: torch.cat([x[:, 1:3, ::2], *(one * 2 for one in x[:, :, 1::2].chunk(2, 1))], 1)),
    "bins": lambda: Own(lambda x: (torch.softmax(x, 1) * torch.linspace(1, 4, 4).view(1, -1, 1, 1)).sum(1, True)),
    "arithmetic": lambda: Own(lambda x: (x.abs() + 1).log().pow(1.5) / (x.exp() + 0.1).sqrt() - (x * x + 2).rsqrt()),
    "one over little": lambda: Own(lambda x: 1 / (x.abs() * 0.01 + 0.02)),
    "bounds": lambda: Own(lambda x: torch.maximum(x.clamp(-0.5, 0.7), torch.where(x > 0, -x, x.tanh()))),
    "means": lambda: Own(lambda x: x.mean((2, 3), True) + x.amax(1, True) - x.amin(1, True) + x.std(1, keepdim=True)),
}


def converted(module: nn.Module, image: Tensor) -> Program:
    import coremltools

    with torch.no_grad(), quiet():
        program = torch.export.export(module, (image,)).run_decompositions(APART)
        made = coremltools.convert(
            program, convert_to="mlprogram", compute_precision=coremltools.precision.FLOAT32, skip_model_load=True,
            minimum_deployment_target=coremltools.target.iOS16,
        )
    return program_of(made._mil_program.functions["main"])


@pytest.mark.parametrize("name", MODULES)
def test_followed_programs_give_pytorchs_numbers(name: str) -> None:
    torch.manual_seed(0)
    module, image = MODULES[name]().eval(), torch.randn(1, 4, 8, 12)
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):
            nn.init.uniform_(one.running_mean, -1, 1)  # type: ignore[arg-type]
            nn.init.uniform_(one.running_var, 0.5, 2)  # type: ignore[arg-type]
    program = converted(module, image)
    assert unknown(program) == ()
    (given,) = follow(program, {program.takes[0].name: image}).values()
    with torch.no_grad():
        torch.testing.assert_close(given, module(image), atol=2e-5, rtol=1e-4)
