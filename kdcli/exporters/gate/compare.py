"""How far a file is from the network that it was made of, on the same images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.exporters.inputs import TakesBytes, in_steps, input_of
from kdcli.exporters.trace import outputs_of
from kdcli.types import POSITIVE_DEPTH

AT_ONCE = 8
"""Images that a file of open batch is given together, and the model with it."""

LEAST = 1e-3
"""Share of the largest value below which AbsRel and agreement take a value for that share: a network whose last layer
is a ReLU gives zeros, and what is over zero is no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far an exported file is from its model on one batch of images."""

    shape: tuple[int, ...]
    """B, 3, H, W of the images."""
    absolute: float
    """Largest difference, in the unit of the output."""
    relative: float
    """The same over the output's largest value."""
    mean: float
    """The mean difference over the output's largest value."""
    abs_rel: float
    """Mean of the differences, each over the model's own value there, or over ``LEAST`` of the largest where that is
    more; over the mean of its values, where those are known up to an offset and smaller."""
    largest_abs_rel: float
    """The largest of them."""
    agreement: float
    """Share of pixels whose ratio is below 1.25."""
    flat: bool = False
    """Whether the model itself says the same number everywhere, so that agreement proves little."""
    output: str = "depth"
    """Which output of the file was compared."""

    def __str__(self) -> str:
        batch, _, height, width = self.shape
        named = "" if self.output == "depth" else f" of {self.output}"
        return f"{batch} x {height}x{width}{named}: {self.absolute:.3g} ({self.relative:.2g} relative)"


def compare(model: nn.Module, call: Callable[[Tensor], Tensor], image: Tensor) -> list[Drift]:
    """Run both on the same images, B x 3 x H x W on the CPU; one comparison for each output, depth first.

    A file that takes so many at a time (``batch`` of ``call``) is given them so.

    Raises:
        ConfigError: the file lacks an output of the model, or gives maps of another shape, or what is no number; or
            the model itself does.
    """
    reference = next(iter(model.state_dict().values()), image).device
    names = outputs_of(model)
    image = in_steps(image, input_of(model))
    given_model = model.model if isinstance(model, TakesBytes) else model
    if names != ("depth",) and getattr(call, "outputs", ("depth",)) != names:
        raise ConfigError(f"this format writes depth alone, not {' and '.join(names[1:])}; use --format onnx or pt2")
    wanted: dict[str, list[Tensor]] = {name: [] for name in names}
    given: dict[str, list[Tensor]] = {name: [] for name in names}
    kind = None
    for part in torch.split(image, getattr(call, "batch", None) or AT_ONCE):
        with torch.no_grad():
            said = given_model(part.to(reference))
        told = {"depth": call(part)} if names == ("depth",) else call.all(part)  # type: ignore[attr-defined]
        kind = said.kind
        for name in names:
            wanted[name].append(getattr(said, name).float().cpu())
            given[name].append(told[name].float().cpu())
    shape = tuple(image.shape)
    return [_drift(wanted[name], given[name], shape, name, positive=kind in POSITIVE_DEPTH) for name in names]


def _drift(wants: list[Tensor], gives: list[Tensor], shape: tuple[int, ...], output: str, *, positive: bool) -> Drift:
    wanted = torch.cat(wants)
    if not bool(torch.isfinite(wanted).all()):
        raise ConfigError(f"the model itself gives numbers for {output} that are not finite, on images of "
                          f"{shape[2]}x{shape[3]}; nothing can be proved of its file: train it, or mend its weights")
    told = f"on {shape[0]} x {shape[2]}x{shape[3]}; nothing was written, try another --format or --precision fp32"
    if any(one.shape != two.shape for one, two in zip(wants, gives, strict=True)):
        sides = ["x".join(map(str, one.shape)) for one in (gives[0], wants[0])]
        raise ConfigError(f"the file gives {output} of {sides[0]}, the model of {sides[1]}, {told}")
    given = torch.cat(gives)
    if not bool(torch.isfinite(given).all()):
        many = float((~torch.isfinite(given)).double().mean())
        raise ConfigError(f"the file gives numbers for {output} that are not finite, at {many:.0%} of the pixels, "
                          f"{told}")
    wanted, given = wanted.double(), given.double()
    apart = (given - wanted).abs()
    scale = max(float(wanted.abs().max()), 1e-12)
    share = apart / measure_of(wanted, positive=positive)
    agrees = (torch.maximum(given / wanted, wanted / given) < 1.25) & (given * wanted > 0)
    agrees |= torch.maximum(given.abs(), wanted.abs()) <= LEAST * scale
    return Drift(
        shape=shape, absolute=float(apart.max()), relative=float(apart.max()) / scale, mean=float(apart.mean()) / scale,
        abs_rel=float(share.mean()), largest_abs_rel=float(share.max()),
        agreement=float(agrees.double().mean()),
        flat=bool(wanted.max() == wanted.min()), output=output,
    )


def measure_of(wanted: Tensor, *, positive: bool) -> Tensor:
    """Return what differences to a map are held against: its own numbers; where their zero means nothing, as that of a
    depth or a disparity known up to an offset does, at least their mean. A zero of any other is ``LEAST``."""
    least = LEAST * wanted.abs().max() if positive else wanted.abs().mean()
    return wanted.abs().clamp(min=max(float(least), 1e-12))
