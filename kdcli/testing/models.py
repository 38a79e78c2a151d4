"""Check depth networks: students, which learn, and teachers, which are frozen."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.made_for import fault
from kdcli.networks.deployed import deployed
from kdcli.networks.taps import TapReader
from kdcli.protocols import DepthModel
from kdcli.testing.draws import global_random_state_kept
from kdcli.testing.guards import model_unchanged, same, unchanged
from kdcli.testing.make import Subject, subject
from kdcli.testing.report import Failure, Report, Skip, Test, expect, run
from kdcli.testing.toys import toy_batch
from kdcli.types import DepthKind, MadeFor, Prediction, Provenance, Tap

SIZES = ((64, 96), (96, 128))
"""Heights and widths that a network is tried at: multiples of 32, as most need."""


def check_student(target: Any, *, options: Mapping[str, Any] | None = None, sizes: tuple[tuple[int, int], ...] = SIZES,
                  skip: Collection[str] = (), seed: int = 0, strict: bool = True) -> Report:
    """Check a student: a spec, a factory with its options, or a network. sizes: (height, width) that it has to take.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set.
    """
    it = subject("student", target, options, seed=seed)
    checks = ModelChecks(it, sizes)
    tests: list[Test] = [*checks.tests(), ("gradients", checks.gradients)]
    return run("student", it.name, tests, plugin=lambda: checks.model, skip=skip, strict=strict)


def check_teacher(target: Any, *, options: Mapping[str, Any] | None = None, sizes: tuple[tuple[int, int], ...] = SIZES,
                  skip: Collection[str] = (), seed: int = 0, strict: bool = True) -> Report:
    """Check a teacher: a spec (with the weights, ``net:FILE``), a factory with its options, or a network.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set.
    """
    it = subject("teacher", target, options, seed=seed)
    checks = ModelChecks(it, sizes)
    more: list[Test] = [("provenance", checks.provenance), ("gradient to the image", checks.image_gradient)]
    tests = [*checks.tests(), *more]
    return run("teacher", it.name, tests, plugin=lambda: checks.model, skip=skip, strict=strict)


class ModelChecks:
    """The checks of one network, which is made once; what changes it works on a copy."""

    def __init__(self, it: Subject, sizes: tuple[tuple[int, int], ...]) -> None:
        self.it, self.sizes = it, sizes
        self._model: nn.Module | None = None

    @property
    def model(self) -> Any:
        """The network in evaluation mode, its parameters as they were made."""
        if self._model is None:
            self._model = self.it.build()
        return self._model.eval()

    def tests(self) -> list[Test]:
        """Return the checks that teachers and students share."""
        return [
            ("contract", self.contract), ("output", self.output), ("sizes", self.sizes_taken), ("range", self.in_range),
            ("black and white", self.extremes), ("deterministic", self.deterministic),
            ("images independent", self.independent), ("evaluation changes nothing", self.evaluation_pure),
            ("taps", self.taps), ("state round trip", self.round_trip), ("deployed", self.deployed),
            ("device", self.device),
        ]

    def contract(self) -> str:
        """Expect the declared members."""
        self.it.check_version()
        model = self.it.build()
        expect(isinstance(model, nn.Module), f"{type(model).__name__} is no torch.nn.Module")
        expect(isinstance(model, DepthModel), "lacks one of depth_kind, depth_range, taps")
        expect(isinstance(model.depth_kind, DepthKind), f"depth_kind is {model.depth_kind!r}, no DepthKind")
        pair = tuple(model.depth_range)
        expect(len(pair) == 2 and 0 <= pair[0] < pair[1], f"depth_range is {pair}, not (smallest, largest)")
        for name, tap in model.taps.items():
            expect(isinstance(name, str) and isinstance(tap, Tap), f"tap {name!r} is {type(tap).__name__}, no Tap")
        made = getattr(model, "made_for", None)
        if made is not None:
            expect(isinstance(made, MadeFor), f"made_for is {type(made).__name__}, no kdcli.types.MadeFor")
            expect(fault(made) is None, str(fault(made)))
        self._model = model
        return f"{model.depth_kind}, {pair[0]:g} to {pair[1]:g}{model.depth_kind.unit and ' ' + model.depth_kind.unit}"

    def output(self) -> str:
        """Expect a whole prediction with consistent shapes."""
        out = self.predict(self.image(self.sizes[0]))
        expect(isinstance(out, Prediction), f"forward returns {type(out).__name__}, not kdcli.types.Prediction")
        expect(out.kind == self.model.depth_kind, f"predicts {out.kind}, but depth_kind is {self.model.depth_kind}")
        shape = out.depth.shape
        expect(out.depth.dim() == 4 and shape[:2] == (2, 1), f"depth has shape {tuple(shape)}, not B x 1 x h x w")
        expect(out.depth.is_floating_point() and torch.isfinite(out.depth).all(), "depth is not finite everywhere")
        if out.valid is not None:
            expect(out.valid.dtype == torch.bool and out.valid.shape == shape, "valid is no bool map like depth")
        for name, maps in (("aux", out.aux), ("branches", out.branches)):
            fits = all(m.dim() == 4 and m.shape[:2] == (2, 1) for m in maps)
            expect(isinstance(maps, tuple) and fits, f"{name} is no tuple of B x 1 x h x w maps")
        if out.probs is not None:
            self._distribution(out.probs, out.centers)
        return "x".join(map(str, shape[-2:])) + f" from {self.sizes[0][0]}x{self.sizes[0][1]}"

    def _distribution(self, probs: Tensor, centers: Tensor | None) -> None:
        expect(probs.dim() == 4 and len(probs) == 2, f"probs has shape {tuple(probs.shape)}, not B x K x h x w")
        total = probs.sum(dim=1)
        expect((probs >= 0).all() and torch.allclose(total, torch.ones_like(total), atol=1e-3),
               "probs is no distribution over bins: it must be non-negative and sum to 1")
        expect(centers is not None, "probs comes without centers")
        assert centers is not None
        expect(centers.shape in (probs.shape[:2], probs.shape[1:2]), f"centers has shape {tuple(centers.shape)}")

    def sizes_taken(self) -> str:
        """Expect batches of one and of two at every size."""
        found = []
        for size in self.sizes:
            for count in (1, 2):
                depth = self.predict(self.image(size, count)).depth
                expect(depth.shape[:2] == (count, 1), f"{count} images of {size} give {tuple(depth.shape)}")
                expect(torch.isfinite(depth).all(), f"{count} images of {size} give depth that is not finite")
            found.append(f"{size[0]}x{size[1]} -> {depth.shape[-2]}x{depth.shape[-1]}")
        return ", ".join(found)

    def in_range(self) -> str:
        """Expect depth within the declared range; a linear last layer (``bounded = False``) can promise none."""
        if not getattr(self.model, "bounded", True):
            raise Skip("its last layer is linear")
        low, high = self.model.depth_range
        depth = self.predict(self.image(self.sizes[0])).depth
        slack = 1e-4 * max(1.0, low, 0.0 if math.isinf(high) else high)
        least, most = depth.min().item(), depth.max().item()
        expect(least >= low - slack and most <= high + slack,
               f"predicts {least:.4g} to {most:.4g}, but depth_range is ({low:g}, {high:g})")
        return f"{least:.3g} to {most:.3g}"

    def extremes(self) -> None:
        """Expect finite depth for black, white and constant images."""
        for level in (0.0, 0.5, 1.0):
            image = torch.full_like(self.image(self.sizes[0]), level)
            expect(torch.isfinite(self.predict(image).depth).all(), f"images of {level} give depth that is not finite")

    def deterministic(self) -> None:
        """Expect the same answer twice, and no touch of the image or of global random numbers."""
        image = self.image(self.sizes[0])
        with unchanged(image), global_random_state_kept():
            first = self.predict(image).depth
        expect(same(first, self.predict(image).depth), "gives two answers to the same images in evaluation mode")

    def independent(self) -> None:
        """Expect an image to be judged alike alone and in company."""
        if hasattr(self.model, "from_batch"):
            raise Skip("it looks at the batch, not at images")
        image = self.image(self.sizes[0])[:1]
        company = torch.cat([image, 1 - image])
        together, alone = self.predict(company).depth[:1], self.predict(image).depth
        gap = (together - alone).abs().max().item()
        close = gap <= 1e-3 * max(1.0, alone.abs().max().item())
        expect(close, f"changes by {gap:.3g} with the other images of a batch")

    def evaluation_pure(self) -> None:
        """Expect parameters and buffers, batch-norm statistics among them, to stay in evaluation mode."""
        with model_unchanged(self.model, "evaluation"):
            self.predict(self.image(self.sizes[0]))

    def taps(self) -> str:
        """Expect every tap where it says, with its stride and channels.

        A network that resizes images to a size of its own says so as ``input_size``, the size or a function of the
        image's height and width; strides then refer to that.
        """
        if not self.model.taps:
            raise Skip("it names none")
        with torch.no_grad(), TapReader(self.model, self.model.taps) as reader:
            self.predict(self.image(self.sizes[-1]))
        own = getattr(self.model, "input_size", None) or self.sizes[-1]
        size = own(*self.sizes[-1]) if callable(own) else own
        for name, tap in self.model.taps.items():
            feature = reader.features.get(name)
            if feature is None or feature.dim() != 4:
                raise Failure(f"tap '{name}' gives no B x C x h x w feature")
            count = feature.shape[1]
            expect(count == tap.channels, f"tap '{name}' has {count} channels, not {tap.channels}")
            for side, length in zip(feature.shape[-2:], size, strict=True):
                fits = abs(side - length / tap.stride) <= 1
                expect(fits, f"tap '{name}' is {side} of {length}, not stride {tap.stride}")
        return f"{len(self.model.taps)} taps"

    def round_trip(self) -> str:
        """Expect the whole state to pass through a safetensors file into another copy."""
        from safetensors.torch import load, save

        state = {name: value.detach().clone().contiguous() for name, value in self.model.state_dict().items()}
        if not state:
            raise Skip("it has no state")
        other = copy.deepcopy(self.model)
        with torch.no_grad():
            for value in other.state_dict().values():
                value.zero_()
        other.load_state_dict(load(save(state)), strict=True)
        image = self.image(self.sizes[0])
        expect(same(self.predict(image).depth, self._ask(other.eval(), image).depth),
               "answers differently after its state_dict went through a file: something is kept outside of it")
        return f"{sum(v.numel() for v in state.values())} numbers"

    def deployed(self) -> str:
        """Expect the form for inference alone to give the same numbers, and the network to stay as it is."""
        with model_unchanged(self.model, "deployed()"):
            form = deployed(self.model)
        if form is self.model:
            raise Skip("it has no other form for inference")
        for size in self.sizes:
            image = self.image(size)
            wanted, given = self.predict(image).depth, self._ask(form, image).depth
            expect(given.shape == wanted.shape, f"deployed() gives {tuple(given.shape)} for {tuple(wanted.shape)}")
            gap = (given - wanted).abs().max().item()
            close = gap <= 1e-3 * wanted.abs().max().item()
            expect(close, f"deployed() changes depth by {gap:.3g}: it is not the same function")
        counts = [sum(p.numel() for p in model.parameters()) for model in (self.model, form)]
        return f"{counts[0]} parameters, {counts[1]} for inference"

    def device(self) -> str:
        """Expect everything to follow the model to another device."""
        if hasattr(self.model, "from_batch"):
            raise Skip("it looks at the batch, not at images")
        device = "cuda" if torch.cuda.is_available() else "meta"
        model, image = copy.deepcopy(self.model).to(device), self.image(self.sizes[0]).to(device)
        try:
            depth = self._ask(model, image).depth
        except (RuntimeError, NotImplementedError) as error:
            if device == "meta" and _host_branch(error):
                raise Skip("decides on values of tensors, so it cannot be tried without a GPU") from None
            raise
        expect(depth.device.type == device, f"answers on {depth.device} to images on {image.device}")
        return f"on {device}"

    def gradients(self) -> str:
        """Expect finite gradients in training mode, and something to learn."""
        model = copy.deepcopy(self.model).train()
        depth = model(self.image(self.sizes[0])).depth
        depth.mean().backward()
        learning = [p for p in model.parameters() if p.requires_grad]
        expect(learning, "has no parameter that learns")
        for name, parameter in model.named_parameters():
            finite = parameter.grad is None or torch.isfinite(parameter.grad).all()
            expect(finite, f"{name} gets a gradient that is not finite")
        reached = sum(p.numel() for p in learning if p.grad is not None and p.grad.abs().sum() > 0)
        expect(reached, "no parameter gets a gradient from depth")
        return f"{reached} of {sum(p.numel() for p in learning)} parameters"

    def provenance(self) -> str:
        """Expect the teacher to say where its weights come from."""
        origin = getattr(self.model, "provenance", None)
        if not isinstance(origin, Provenance):
            raise Failure(f"provenance is {type(origin).__name__}, not kdcli.types.Provenance")
        expect(origin.name, "provenance has no name")
        return f"{origin.name}, licence {origin.licence}"

    def image_gradient(self) -> str:
        """Expect a finite gradient to the image through a frozen teacher, which stays as it is."""
        if hasattr(self.model, "from_batch"):
            raise Skip("it looks at the batch, not at images")
        if not getattr(self.model, "differentiable", True):
            raise Skip("it says that it gives no gradient")
        flags = [p.requires_grad for p in self.model.parameters()]
        self.model.requires_grad_(False)
        image = self.image(self.sizes[0]).requires_grad_()
        with model_unchanged(self.model, "a backward pass through it"):
            self.model(image).depth.mean().backward()
        for parameter, flag in zip(self.model.parameters(), flags, strict=True):
            parameter.requires_grad_(flag)
        if image.grad is None:
            raise Failure("no gradient reaches the image: forward runs without gradient; leave that to the caller")
        expect(torch.isfinite(image.grad).all(), "the gradient to the image is not finite")
        return "what fit-transform needs"

    def image(self, size: tuple[int, int], count: int = 2) -> Tensor:
        """Return images of boxes before a wall."""
        return toy_batch(batch=count, size=size).image

    def predict(self, image: Tensor) -> Prediction:
        """Ask the network in evaluation mode, without gradient."""
        return self._ask(self.model, image)

    def _ask(self, model: Any, image: Tensor) -> Prediction:
        with torch.no_grad():
            if hasattr(model, "from_batch"):
                size = (int(image.shape[-2]), int(image.shape[-1]))
                return model.from_batch(toy_batch(batch=len(image), size=size))  # type: ignore[no-any-return]
            return model(image)  # type: ignore[no-any-return]


def _host_branch(error: Exception) -> bool:
    words = ("meta tensor", "_local_scalar_dense", "data-dependent", "nonzero", "item()")
    return any(word in str(error).lower() for word in words)
