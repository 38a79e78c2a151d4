"""Core ML's operators as their definitions have them, beside PyTorch's own where the two mean the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from kdcli.exporters.mil.follow import follow, unknown
from kdcli.exporters.mil.operators import OPERATORS
from kdcli.exporters.mil.operators.resizing import points
from kdcli.exporters.mil.program import Program, Step, Value


def ints(*values: int) -> Tensor:
    return torch.tensor(values)


def near(given: Tensor, wanted: Tensor) -> None:
    assert given.shape == wanted.shape
    torch.testing.assert_close(given, wanted, atol=1e-5, rtol=1e-5)


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 4, 9, 11, generator=torch.Generator().manual_seed(0))


GRIDS = {
    ("STRICT_ALIGN_CORNERS", 2, 5): [0.0, 0.25, 0.5, 0.75, 1.0],
    ("ALIGN_CORNERS", 2, 6): [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
    ("ALIGN_CORNERS", 5, 1): [2.0],
    ("DEFAULT", 2, 5): [0.0, 0.4, 0.8, 1.0, 1.0],
    ("OFFSET_CORNERS", 2, 5): [0.1, 0.3, 0.5, 0.7, 0.9],
    ("UNALIGN_CORNERS", 2, 5): [0.0, 0.1, 0.5, 0.9, 1.0],
    ("UNALIGN_CORNERS", 2, 6): [0.0, 0.0, 1 / 3, 2 / 3, 1.0, 1.0],
}
"""The examples of the definition of resize_bilinear."""


@pytest.mark.parametrize(("mode", "old", "new"), GRIDS)
def test_points_of_a_resized_map_lie_where_the_definition_says(mode: str, old: int, new: int) -> None:
    assert points(old, new, mode).tolist() == pytest.approx(GRIDS[mode, old, new])


def test_an_unknown_way_of_sampling_is_refused() -> None:
    with pytest.raises(ValueError, match="sampling mode 'NEAR' is not known"):
        points(2, 4, "NEAR")


@pytest.mark.parametrize("align", [True, False])
def test_bilinear_is_pytorchs(image: Tensor, align: bool) -> None:
    wanted = functional.interpolate(image, size=(18, 27), mode="bilinear", align_corners=align)
    given = OPERATORS["upsample_bilinear"](
        image, scale_factor_height=2, scale_factor_width=2.4546, align_corners=align
    )
    near(given, wanted)
    mode = "STRICT_ALIGN_CORNERS" if align else "UNALIGN_CORNERS"
    near(OPERATORS["resize_bilinear"](image, 5, 27, mode),
         functional.interpolate(image, size=(5, 27), mode="bilinear", align_corners=align))


@pytest.mark.parametrize("size", [(18, 22), (14, 33)])
def test_nearest_is_pytorchs(image: Tensor, size: tuple[int, int]) -> None:
    given = OPERATORS["upsample_nearest_neighbor"](image, size[0] / 9 + 1e-4, size[1] / 11 + 1e-4)
    near(given, functional.interpolate(image, size=size, mode="nearest"))


@pytest.mark.parametrize("ceil", [True, False])
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize(("kernel", "step", "pad"), [(3, 2, 1), (2, 2, 0), (3, 3, 0), (2, 3, 1)])
def test_pools_are_pytorchs(image: Tensor, ceil: bool, counted: bool, kernel: int, step: int, pad: int) -> None:
    taken = {"kernel_sizes": ints(kernel, kernel), "strides": ints(step, step), "pad_type": "custom",
             "pad": ints(pad, pad, pad, pad), "ceil_mode": ceil}  # fmt: skip
    near(OPERATORS["avg_pool"](image, **taken, exclude_padding_from_average=not counted),
         functional.avg_pool2d(image, kernel, step, pad, ceil, counted))
    near(OPERATORS["max_pool"](image, **taken), functional.max_pool2d(image, kernel, step, pad, 1, ceil))


def test_convolutions_are_pytorchs(image: Tensor) -> None:
    weight, bias = torch.randn(6, 2, 3, 5), torch.randn(6)
    given = OPERATORS["conv"](image, weight, "custom", ints(2, 1), ints(1, 1, 2, 2), ints(1, 2), 2, bias)
    near(given, functional.conv2d(image, weight, bias, (2, 1), (1, 2), (1, 2), 2))
    near(OPERATORS["conv"](image, weight, "same", groups=2), functional.conv2d(image, weight, None, 1, (1, 2), 1, 2))
    uneven = OPERATORS["conv"](image, weight, "custom", pad=ints(0, 1, 2, 3), groups=2)
    near(uneven, functional.conv2d(functional.pad(image, (2, 3, 0, 1)), weight, groups=2))
    with pytest.raises(ValueError, match="pad_type 'same' is known here for single steps and odd kernels alone"):
        OPERATORS["conv"](image, weight, "same", ints(2, 2), groups=2)


def test_transposed_convolutions_are_pytorchs(image: Tensor) -> None:
    weight, bias = torch.randn(4, 3, 4, 3), torch.randn(6)
    given = OPERATORS["conv_transpose"](image, weight, bias, ints(1, 1, 1, 1), None, "custom", ints(2, 2), None, 2)
    near(given, functional.conv_transpose2d(image, weight, bias, 2, 1, 0, 2))
    shaped = OPERATORS["conv_transpose"](
        image, weight, bias, ints(1, 1, 1, 1), ints(2, 6, 19, 22), "custom", ints(2, 2), None, 2
    )
    near(shaped, functional.conv_transpose2d(image, weight, bias, 2, 1, (1, 1), 2))


def test_norms_are_pytorchs(image: Tensor) -> None:
    mean, variance, gamma, beta = torch.randn(4), torch.rand(4), torch.randn(4), torch.randn(4)
    near(OPERATORS["batch_norm"](image, mean, variance, gamma, beta, 1e-3),
         functional.batch_norm(image, mean, variance, gamma, beta, eps=1e-3))
    near(OPERATORS["instance_norm"](image, gamma, beta), functional.instance_norm(image, None, None, gamma, beta))
    own = torch.randn(9, 11)
    near(OPERATORS["layer_norm"](image, ints(-2, -1), own, own), functional.layer_norm(image, (9, 11), own, own))


CURVES: dict[str, tuple[dict[str, Any], Any]] = {
    "relu": ({}, functional.relu), "relu6": ({}, functional.relu6), "silu": ({}, functional.silu),
    "sigmoid": ({}, torch.sigmoid), "tanh": ({}, torch.tanh), "softplus": ({}, functional.softplus),
    "clip": ({"alpha": -0.5, "beta": 0.7}, lambda x: x.clamp(-0.5, 0.7)), "square": ({}, lambda x: x**2),
    "sigmoid_hard": ({"alpha": 1 / 6, "beta": 0.5}, functional.hardsigmoid), "elu": ({"alpha": 1.0}, functional.elu),
    "leaky_relu": ({"alpha": 0.1}, lambda x: functional.leaky_relu(x, 0.1)), "gelu": ({}, functional.gelu),
    "softmax": ({"axis": 1}, lambda x: torch.softmax(x, 1)), "exp": ({}, torch.exp), "erf": ({}, torch.erf),
    "reduce_mean": ({"axes": ints(2, 3), "keep_dims": True}, lambda x: x.mean((2, 3), True)),
    "reduce_sum": ({"axes": ints(1)}, lambda x: x.sum(1)), "reduce_max": ({"axes": ints(1)}, lambda x: x.amax(1)),
    "cumsum": ({"axis": 1, "exclusive": True}, lambda x: x.cumsum(1) - x),
}  # fmt: skip


@pytest.mark.parametrize("name", CURVES)
def test_operators_on_numbers_are_pytorchs(name: str, image: Tensor) -> None:
    taken, wanted = CURVES[name]
    near(OPERATORS[name](image * 4, **taken), wanted(image * 4))


def test_small_terms_of_roots_and_logarithms() -> None:
    x = torch.tensor([0.0, 0.25, 4.0])
    assert OPERATORS["rsqrt"](x, epsilon=0.25).tolist() == pytest.approx([2.0, 2**0.5, 4.25**-0.5])
    assert OPERATORS["inverse"](x, epsilon=0.25).tolist() == pytest.approx([4.0, 2.0, 1 / 4.25])
    near(OPERATORS["log"](x, epsilon=1.0), torch.log1p(x))
    near(OPERATORS["gelu"](x, "TANH_APPROXIMATION"), functional.gelu(x, approximate="tanh"))
    near(OPERATORS["gelu"](x, "SIGMOID_APPROXIMATION"), x * torch.sigmoid(1.702 * x))


def test_numbers_are_moved_as_pytorch_moves_them(image: Tensor) -> None:
    run = OPERATORS
    for mode, name in (("reflect", "reflect"), ("replicate", "replicate"), ("constant", "constant")):
        near(run["pad"](image, ints(1, 2, 3, 4), mode), functional.pad(image, (3, 4, 1, 2), mode=name))
    near(run["pixel_shuffle"](image, 2), functional.pixel_shuffle(image, 2))
    near(run["slice_by_index"](image, ints(0, 1, 0, 8), ints(2, 3, 0, 0), ints(1, 1, 2, -3),
                               torch.tensor([True, False, True, False]), torch.tensor([True, False, True, False])),
         image[:, 1:3, ::2][..., [8, 5, 2]])
    gone = torch.tensor([True, True, False, False])
    near(run["slice_by_index"](image, ints(1, -1, 0, 0), ints(0, 0, 9, 11), squeeze_mask=gone), image[1, -1])
    near(run["slice_by_size"](image, ints(0, 1, 2, 3), ints(2, 2, -1, 4)), image[:, 1:3, 2:, 3:7])
    near(run["gather"](image, ints(-1, 0), 1), image[:, [-1, 0]])
    near(run["reshape"](image, ints(0, -1, 9, 11)), image)
    near(run["expand_dims"](image, ints(0, -1)), image[None, ..., None])
    near(run["concat"]((image, -image), 1, True), torch.stack((image, -image), 2).reshape(2, 8, 9, 11))
    parts = run["split"](image, 1, split_sizes=ints(1, 3))
    near(torch.cat(parts, 1), image)
    assert [part.shape[1] for part in parts] == [1, 3] == [1, run["split"](image, 1, 4)[0].shape[1] + 2]


def program(kind: str = "fp32", shape: tuple[int, ...] = (1, 2), operator: str = "mul") -> Program:
    """Return ``image`` times 3000, and the product divided by 3000 again."""
    between, depth = Value("between", shape, kind), Value("depth", shape, "fp32")
    return Program(
        takes=(Value("image", (1, 2), "fp32"),), gives=(depth,), constants={"large": 3000.0},
        steps=(Step(operator, {"x": "image", "y": "large"}, (between,)),
               Step("real_div", {"x": "between", "y": "large"}, (depth,))),
    )  # fmt: skip


def test_a_program_is_followed_step_by_step() -> None:
    image = torch.tensor([[1.0, 50.0]])
    near(follow(program(), {"image": image})["depth"], image)


def test_what_overflows_in_half_overflows_here() -> None:
    given = follow(program("fp16"), {"image": torch.tensor([[1.0, 50.0]])})["depth"]
    assert given.tolist() == [[1.0, float("inf")]]


def test_shapes_have_to_be_those_declared() -> None:
    with pytest.raises(ValueError, match="mul gives 'between' of 1x2, declared is 2x1"):
        follow(program(shape=(2, 1)), {"image": torch.ones(1, 2)})
    with pytest.raises(ValueError, match="the input gives 'image' of 1x3, declared is 1x2"):
        follow(program(), {"image": torch.ones(1, 3)})


def test_operators_and_parameters_that_are_not_known_are_told() -> None:
    assert unknown(program()) == ()
    assert unknown(program(operator="mystery")) == ("mystery",)
    odd = program()
    steps = (Step("relu", {"x": "image", "bend": "large"}, odd.steps[0].gives), odd.steps[1])
    assert unknown(Program(odd.takes, odd.gives, steps, odd.constants)) == ("relu(bend)",)
