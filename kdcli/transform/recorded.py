"""Feature statistics in a file: what batch norms remember by themselves, for teachers that have none.

Whoever holds the images records per tap the mean and variance of each channel once; the file is small and holds no
image, so it can be handed on where the images cannot be. This goes beyond arXiv 2208.12464, which needs batch norms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, WeightsError
from kdcli.files import from_json
from kdcli.networks.taps import INPUT, TapReader, locate
from kdcli.transform.statistics import BatchNormProbe, Norm, Probe, Target, batch_norms
from kdcli.types import Batch
from kdcli.version import __version__
from kdcli.weights import load_tensors, read_metadata, save

FORMAT = "kdcli.statistics/1"
BATCH_NORMS = "batch-norms"
"""Stands for what enters each of a network's batch norms: the places that these remember themselves."""
EPS = 1e-5
"""Added to a recorded variance before it divides, as batch norms do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Mean and biased variance of every channel, per tap, and where they come from."""

    mean: Mapping[str, Tensor]
    variance: Mapping[str, Tensor]
    provenance: Mapping[str, Any]


@torch.no_grad()
def record(
    teacher: nn.Module, batches: Iterable[Batch], taps: Sequence[str] | None = None, *,
    told: Callable[[int], None] | None = None,
) -> Statistics:
    """Measure a teacher's features on images, over all of them as if they were one batch.

    Args:
        teacher: in evaluation mode, on the batches' device.
        batches: of the images that the teacher should see.
        taps: names of inner features, ``module:PATH``, ``input:PATH`` (``input:`` is the image) or ``BATCH_NORMS``;
            the image and all that the teacher names when None. Features behind a normalisation leave the brightness and
            colours of the image open, and a student learns from those images: hence the image itself.
        told: hears how many images are done.

    Raises:
        ConfigError: a teacher without taps, an unknown tap, or no image.
    """
    names: list[str] = []
    named: Sequence[str] = tuple(getattr(teacher, "taps", ()))
    for tap in taps if taps is not None else (INPUT, *named) if named else ():
        names += [f"{INPUT}{name}" for name in batch_norms(teacher)] if tap == BATCH_NORMS else [tap]
    if not names:
        raise ConfigError(
            f"{type(teacher).__name__} names no inner features to record; use a teacher with taps, or name modules of "
            "it: --tap module:PATH"
        )
    sums: dict[str, tuple[Tensor, Tensor, int]] = {}
    images = 0
    with TapReader(teacher, names) as reader:
        for batch in batches:
            teacher(batch.image)
            for name in names:
                sums[name] = _joined(sums.get(name), reader.features.get(name), name)
            images += len(batch)
            if told is not None:
                told(images)
    if not images:
        raise ConfigError("feature statistics: the source gave no image; give more images")
    return Statistics(
        mean={name: mean.float().cpu() for name, (mean, _, _) in sums.items()},
        variance={name: (spread / count).float().cpu() for name, (_, spread, count) in sums.items()},
        provenance={"images": images},
    )


def _joined(known: tuple[Tensor, Tensor, int] | None, feature: Tensor | None, name: str) -> tuple[Tensor, Tensor, int]:
    """Add a batch to mean, summed squared distances from it, and count (Chan et al. 1979), in double precision."""
    if feature is None or feature.dim() != 4:
        raise ConfigError(f"feature statistics: tap '{name}' gives no B x C x h x w feature; leave it out")
    variance, mean = torch.var_mean(feature.double(), dim=(0, 2, 3), correction=0)
    count = feature.numel() // feature.shape[1]
    spread = variance * count
    if known is None:
        return mean, spread, count
    total = known[2] + count
    step = mean - known[0]
    return known[0] + step * (count / total), known[1] + spread + step.square() * (known[2] * count / total), total


def write(statistics: Statistics, path: Path) -> None:
    """Write statistics as safetensors, with their provenance in the header."""
    tensors = {f"{name}.mean": value for name, value in statistics.mean.items()}
    tensors |= {f"{name}.variance": value for name, value in statistics.variance.items()}
    facts = {"kdcli.format": FORMAT, "kdcli": __version__, "provenance": json.dumps(dict(statistics.provenance))}
    save(path, tensors, facts)


def read(path: Path) -> Statistics:
    """Read statistics.

    Raises:
        WeightsError: no such file, or one that holds something else.
    """
    found = read_metadata(path)
    if found.get("kdcli.format") != FORMAT:
        raise WeightsError(f"'{path}' holds no recorded statistics; make them with kdcli fit-transform --record")
    state = load_tensors(path)
    mean = {key.removesuffix(".mean"): value for key, value in state.items() if key.endswith(".mean")}
    variance = {key.removesuffix(".variance"): value for key, value in state.items() if key.endswith(".variance")}
    if not mean or mean.keys() != variance.keys():
        raise WeightsError(f"'{path}' lacks means or variances; record the statistics again")
    for name, value in mean.items():
        spread = variance[name]
        sound = _per_channel(value) and _per_channel(spread) and value.shape == spread.shape
        if not (sound and bool((spread >= 0).all())):
            raise WeightsError(f"'{path}' holds no mean and variance of channels for '{name[:80]}'; record them again")
    try:
        provenance = from_json(found.get("provenance", "{}"))
        teacher = (provenance.get("teacher") or {}) if isinstance(provenance, dict) else None
        if not isinstance(teacher, dict) or not isinstance(teacher.get("sha256") or "", str):
            raise ValueError("its provenance is of another form")
    except ValueError as error:
        raise WeightsError(f"'{path}' is damaged ({str(error)[:80]}); record the statistics again") from None
    return Statistics(mean=mean, variance=variance, provenance=provenance)


def _per_channel(value: Tensor) -> bool:
    return value.ndim == 1 and value.is_floating_point() and bool(value.isfinite().all())


def probe_for(
    model: nn.Module, statistics: Statistics | None, *, norm: Norm = "l2", layers: Sequence[str] = (),
    weights: Mapping[str, float] | None = None, first: float = 1.0,
) -> Probe:
    """Return what measures a model: against recorded statistics, or against its batch norms' own.

    Raises:
        ConfigError: as ``RecordedProbe`` and ``BatchNormProbe``.
    """
    if statistics is None:
        return BatchNormProbe(model, norm=norm, layers=layers, weights=weights, first=first)
    return RecordedProbe(model, statistics, norm=norm, layers=layers, weights=weights, first=first)


def statistics_for(teacher: nn.Module, file: str) -> Statistics | None:
    """Return what a transformation is fitted to: recorded statistics, or None (file ``none``) for the batch norms'.

    Raises:
        ConfigError: the teacher has neither, or the statistics are of another network.
        WeightsError: the file cannot be read.
    """
    if not getattr(teacher, "differentiable", True):
        raise ConfigError(
            f"{type(teacher).__name__} gives no gradient to the image, which a transformation network needs; use the "
            "network itself as teacher, or --transform none"
        )
    if file == "none":
        batch_norms(teacher)
        return None
    found = read(Path(file))
    RecordedProbe(teacher, found)
    return found


class RecordedProbe(Probe):
    """A probe whose targets are recorded statistics, against what passes the taps."""

    def __init__(
        self, model: nn.Module, statistics: Statistics, *, norm: Norm = "l2", layers: Sequence[str] = (),
        weights: Mapping[str, float] | None = None, first: float = 1.0,
    ) -> None:
        """Find the taps.

        Raises:
            ConfigError: the model lacks one of them, was another one, or an unknown norm, layer or weight.
        """
        recorded = (statistics.provenance.get("teacher") or {}).get("sha256")
        own = getattr(getattr(model, "provenance", None), "sha256", None)
        if recorded and own and recorded != own:
            raise ConfigError(
                f"the statistics were recorded of other weights (sha256 {recorded[:12]}, the teacher's is {own[:12]}); "
                "record them of this teacher, or use that one"
            )
        targets = {name: _target(model, name, statistics) for name in statistics.mean}
        # A file keeps its tensors in no order that means anything; "the first three" are the network's.
        place = {module: i for i, module in enumerate(model.modules())}
        ordered = sorted(targets, key=lambda name: place[targets[name].module])
        super().__init__(
            {name: targets[name] for name in ordered}, norm=norm, layers=layers, weights=weights, first=first
        )


def _target(model: nn.Module, name: str, statistics: Statistics) -> Target:
    mean, variance = _OnDevice(statistics.mean[name]), _OnDevice(statistics.variance[name])
    return Target(module=locate(model, name), mean=mean, variance=variance, eps=EPS, output=not name.startswith(INPUT))


class _OnDevice:
    """A tensor that follows to a device once and stays there."""

    def __init__(self, value: Tensor) -> None:
        self._value = value

    def __call__(self, device: torch.device) -> Tensor:
        if self._value.device != device:
            self._value = self._value.to(device)
        return self._value
