"""The authors' own numbers, and checkpoints in their layout rebuilt from a recipe: see ``golden/README.md`` there."""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdcli.networks.taps import TapReader
from kdcli.types import Prediction

TOLERANCE = 1e-4
"""Largest difference over the largest number of an array; a faithful network stays below half of it."""


@dataclass(frozen=True)
class Golden:
    """One network's folder."""

    folder: Path

    @functools.cached_property
    def meta(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "meta.json").read_text())
        return document

    @functools.cached_property
    def spec(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "keys.json").read_text())
        return document

    @functools.cached_property
    def output(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return dict(np.load(self.folder / "output.npz"))

    @property
    def keys(self) -> list[str]:
        """The authors' names, without index tables that a network computes itself."""
        return [key for key, _, _ in self.spec["entries"] if key not in self.spec["keep"]]

    def image(self) -> Tensor:
        """The photograph, 1 x 3 x H x W in 0..1."""
        pixels = np.load(self.folder / "input.npz")["image_u8"]
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255

    def state(self) -> dict[str, Tensor]:
        """The weights under the authors' names."""
        state: dict[str, Tensor] = _recipe(self.folder.parent).fill_folder(self.folder, check=False)
        return state

    def shapes(self) -> dict[str, Tensor]:
        """The authors' names and shapes without numbers, on the meta device."""
        return {
            key: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
            for key, shape, dtype in self.spec["entries"] if key not in self.spec["keep"]
        }

    def save(self, file: Path, wrap: Callable[[dict[str, Tensor]], object] = lambda state: state) -> Path:
        """Write a checkpoint as the authors did, in the wrapper that ``wrap`` makes of the state."""
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(wrap(self.state()), file)
        return file

    def check(self, model: nn.Module, taps: Mapping[str, str], output: str = "depth") -> Prediction:
        """Run a model on the photograph; depth and taps (our tap or ``module:PATH`` -> the authors' module) must agree.

        Every tap that is compared must also lie at the stride and have the channels that the model declares.
        """
        image = self.image()
        with torch.no_grad(), TapReader(model, taps) as reader:
            prediction: Prediction = model(image)
        for ours, theirs in taps.items():
            feature = reader.features[ours]
            assert list(feature.shape) == self.meta["taps"][theirs]["shape"], (ours, feature.shape)
            places = np.round(np.linspace(0, feature.numel() - 1, 256)).astype(int)
            error = off(feature.flatten()[places], self.output[f"tap.{theirs}"])
            assert error < TOLERANCE, f"tap {ours} ({theirs}) is off by {error:.2g}"
        error = off(prediction.depth, self.output[output])
        assert error < TOLERANCE, f"depth is off by {error:.2g}"
        return prediction


def off(ours: Tensor, golden: np.ndarray[Any, Any]) -> float:
    """Return the largest difference over the largest golden number; the shapes must be equal."""
    assert tuple(ours.shape) == golden.shape, (tuple(ours.shape), golden.shape)
    return float(np.abs(ours.detach().double().numpy() - golden).max() / np.abs(golden).max())


def count(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


@functools.cache
def _recipe(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("golden_fill", folder / "fill.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
