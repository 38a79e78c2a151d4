"""The forms that a frozen teacher may take: made out of it, and how long each takes beside it."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.exporters import export, load_exported
from kdcli.exporters.gate.compare import compare
from kdcli.exporters.trace import silence
from kdcli.networks.folding import folded
from kdcli.types import Prediction

TOLERANCE = 1e-4
"""Largest difference of a form's depth to the teacher's own, over the teacher's largest."""
Layout = Literal["channels-last", "contiguous"]
ORDERS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What runs a teacher."""

    engine: Literal["eager", "compile", "onnx"] = "eager"
    folded: bool = False
    """Whether its batch norms are folded into its convolutions."""
    layout: Layout = "channels-last"
    """Order of its numbers in memory; onnxruntime has its own."""

    def __str__(self) -> str:
        if self.engine != "eager":
            return self.engine
        return f"eager, {self.layout}{', norms folded' if self.folded else ''}"

    def document(self) -> dict[str, Any]:
        """Return it for a manifest."""
        return {"engine": self.engine, "folded": self.folded, "layout": self.layout}

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Form:
        """Return the form that a manifest names."""
        return cls(engine=said["engine"], folded=said["folded"], layout=said["layout"])

    def made(self, teacher: nn.Module, image: Tensor) -> nn.Module:
        """Return a teacher in this form, frozen; itself where it is the form that it has.

        image: B x 3 x H x W in 0..1 on its device, of the size that it will be shown.

        Raises:
            ConfigError: it cannot be had in this form.
        """
        if self == Form():
            return teacher
        try:
            if self.engine == "onnx":
                return _written(teacher, image)
            if self.engine == "compile":
                return _compiled(teacher, image)
            network = folded(teacher, image)[0] if self.folded else copy.deepcopy(teacher)
            return network.requires_grad_(False).to(memory_format=ORDERS[self.layout])
        except (RuntimeError, TypeError, AttributeError, ValueError) as error:
            why = " ".join(str(error).split())[:160]
            raise ConfigError(f"it cannot be had as {self} ({why})") from error


def _written(teacher: nn.Module, image: Tensor) -> nn.Module:
    """Return a teacher as onnxruntime runs its file, which went through the gate of exports and is gone again."""
    with tempfile.TemporaryDirectory(prefix="kdcli-") as folder:
        path = Path(folder) / "teacher.onnx"
        export(teacher, "onnx", path, size=(image.shape[-2], image.shape[-1]), images=image)
        return load_exported(path)


def _compiled(teacher: nn.Module, image: Tensor) -> nn.Module:
    """Return a teacher as PyTorch's compiler makes it of it.

    Raises:
        RuntimeError: that fails, for example where there is no C++ compiler.
    """
    made = torch.compile(copy.deepcopy(teacher))  # without whatever is hooked to it later
    with silence(), torch.no_grad():
        made(image)  # compiled when it first runs
    return made  # type: ignore[return-value]


def difference(teacher: nn.Module, form: nn.Module, image: Tensor) -> float:
    """Return the largest difference of depth on a batch, B x 3 x H x W, over the teacher's largest.

    Both run in float32.

    Raises:
        ConfigError: maps of another shape, or numbers that are not finite.
    """
    with torch.autocast(image.device.type, enabled=False), torch.no_grad():
        return max(drift.relative for drift in compare(teacher, lambda shown: _said(form, shown, image).depth, image))


def _said(form: nn.Module, shown: Tensor, like: Tensor) -> Prediction:
    return form(shown.to(like.device))  # type: ignore[no-any-return]


def ratios(forms: Mapping[Key, nn.Module], image: Tensor, rounds: int) -> dict[Key, float]:
    """Return how long each form takes as a share of the first one's time: medians over rounds, in each of which all
    take their turn, without gradients but for those that a form asks for itself.

    On one thread of a CPU it is the processor's time, which other programs change least.
    """
    alone = image.device.type == "cpu" and torch.get_num_threads() == 1
    now = time.process_time if alone else time.perf_counter
    wait = torch.cuda.synchronize if image.device.type == "cuda" else nullcontext
    times: dict[Key, list[float]] = {form: [] for form in forms}
    with torch.no_grad():
        for number in range(rounds + 1):  # the first warms up
            for form, network in forms.items():
                wait()
                begin = now()
                network(image)
                wait()
                if number:
                    times[form].append(max(now() - begin, 1e-9))
    first = next(iter(times.values()))
    return {
        form: statistics.median(one / other for one, other in zip(taken, first, strict=True))
        for form, taken in times.items()
    }
