"""Export a model: choose what stays open, write the file, prove it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.exporters.card import describe
from kdcli.exporters.parity import TOLERANCE, Drift, compare, images_for
from kdcli.exporters.quantise import AGREEMENT, quantise
from kdcli.exporters.trace import WithSpread
from kdcli.files import atomic, sha256_of
from kdcli.networks.deployed import deployed
from kdcli.networks.shown_size import difference
from kdcli.plugins import registry
from kdcli.plugins.blame import blame
from kdcli.protocols import Exporter
from kdcli.types import MadeFor

DEFAULT_SIZE = (192, 256)
"""Height and width that are tried out, and fixed where the network cannot leave them open, where a model does not say
what it was made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was written and how far it is from the model."""

    path: Path
    format: str
    bytes: int
    sha256: str
    size: tuple[int, int] | None
    """Height and width that the file takes; None = any."""
    int8: bool
    seconds: float
    drift: tuple[Drift, ...]
    """One per batch that was compared; empty when not verified."""
    notes: tuple[str, ...]

    @property
    def worst(self) -> Drift | None:
        """The comparison with the largest relative difference."""
        return max(self.drift, key=lambda drift: drift.relative, default=None)


def export(
    model: nn.Module,
    format: str,
    path: Path | str,
    *,
    size: tuple[int, int] | Literal["dynamic"] | None = None,
    verify: bool = True,
    images: Tensor | None = None,
    int8: bool = False,
    tolerance: float = TOLERANCE,
    card: Mapping[str, Any] | None = None,
    uncertainty: bool = False,
) -> ExportReport:
    """Write a model in a format and check the file against it; a file that does not pass is removed.

    What is written is the model's form for inference alone, where it has one (``deployed()``), what it is checked
    against is the model as it is.

    Args:
        model: a depth model in eval mode.
        format: name of an exporter plugin.
        path: of the file.
        size: (height, width) fixes them; ``dynamic`` insists on leaving them open; None leaves them open where the
            network allows it, and where not fixes what the model was made for, with a note.
        verify: run the parity gate: the export's size, a batch of two, another size when open.
        images: B x 3 x H x W in 0..1 for the gate and for calibration; synthetic ones when None.
        int8: quantise weights and activations (ONNX only). Judged by agreement instead of ``tolerance``.
        tolerance: largest difference relative to the largest depth.
        card: what is known of the student, written into the file's metadata.
        uncertainty: two further outputs, ``std`` and ``entropy`` (as a share of ln K), of a model with depth bins; each
            has to pass the gate.

    Raises:
        ConfigError: the network cannot be exported like that, or the file drifts from it. PluginError: no such format.
    """
    begin, target = time.perf_counter(), Path(path)
    exporter: Exporter = registry.build("exporter", format)
    if int8 and exporter.suffix != ".onnx":
        raise ConfigError(f"--int8 works with --format onnx only, not with {format}")
    if target.is_dir():
        raise ConfigError(f"'{target}' is a folder; give a file, for example {target / 'student'}{exporter.suffix}")
    if target.suffix in (".onnx", ".pt2") and target.suffix != exporter.suffix:
        raise ConfigError(f"'{target}' is not named as {format}; write '{target.with_suffix(exporter.suffix)}'")
    if int8 and uncertainty:
        raise ConfigError("--int8 and --uncertainty do not go together: eight bits leave no digits of a deviation; "
                          "export two files")
    metadata = describe(model, card)
    given, was_training, notes = model, model.training, []
    if isinstance(size, tuple) and (told := difference(model, size)):
        notes.append(f"the file {told}")
    model.eval()
    try:
        with blame(given, "deployed"):
            form = deployed(model)
        metadata["parameters"] = str(sum(parameter.numel() for parameter in form.parameters()))
        if uncertainty:
            model, form = _with_spread(model), WithSpread(form).eval()
            metadata["outputs"] = json.dumps(WithSpread.outputs)
        with atomic(target) as temporary:
            shape = size if isinstance(size, tuple) else _made_for(model)
            fixed = isinstance(size, tuple)
            if not fixed:
                try:
                    _write(exporter, form, temporary, shape, metadata, dynamic=True)
                except ConfigError as error:
                    if size == "dynamic":
                        raise
                    fixed = True
                    notes.append(f"height and width are fixed to {shape[0]}x{shape[1]}: {error}")
            if fixed:
                _write(exporter, form, temporary, shape, metadata, dynamic=False)
            if not fixed and shape != DEFAULT_SIZE:
                notes.append(f"it takes images of any size, and was made for {shape[0]}x{shape[1]}")
            if int8:
                quantise(temporary, images, shape)
                if images is None:
                    notes.append("int8 was calibrated on synthetic images; --images DIR with the target's is better")
            drift: tuple[Drift, ...] = ()
            if verify:
                with blame(exporter, "load"):
                    call = exporter.load(temporary)
                batch: int | None = getattr(call, "batch", None)
                if batch is not None:
                    notes.append(f"the batch is fixed to {batch}: the network does not leave it open")
                batches = images_for(images, shape, other_size=not fixed, two=batch is None)
                drift = tuple(one for image in batches for one in compare(model, call, image))
                _judge(drift, int8=int8, tolerance=tolerance)
    finally:
        given.train(was_training)
    return ExportReport(
        path=target, format=format, bytes=target.stat().st_size, sha256=sha256_of(target),
        size=shape if fixed else None, int8=int8, seconds=time.perf_counter() - begin, drift=drift, notes=tuple(notes),
    )


def _made_for(model: nn.Module) -> tuple[int, int]:
    """Return the size that a model is used at, or else that of its training."""
    made = getattr(model, "made_for", None)
    known = (made.eval_size or made.train_size) if isinstance(made, MadeFor) else None
    return known or DEFAULT_SIZE


def _with_spread(model: nn.Module) -> nn.Module:
    """Return a model whose uncertainty is exported too, once it was seen to tell any.

    Raises:
        ConfigError: it does not.
    """
    wrapped = WithSpread(model).eval()
    reference = next(iter(model.state_dict().values()), torch.empty(0)).device
    with torch.no_grad():
        wrapped(torch.zeros(1, 3, *DEFAULT_SIZE, device=reference))
    return wrapped


def _write(
    exporter: Exporter, model: nn.Module, path: Path, size: tuple[int, int], metadata: dict[str, str], *, dynamic: bool
) -> None:
    said = "dynamic" if dynamic else f"{size[0]}x{size[1]}"
    with blame(exporter, "export"):
        exporter.export(model, path, size=size, dynamic=dynamic, metadata={**metadata, "size": said})


def _judge(drifts: tuple[Drift, ...], *, int8: bool, tolerance: float) -> None:
    """Let a file pass or not.

    Raises:
        ConfigError: it drifts from the model.
    """
    for drift in drifts:
        if int8 and drift.agreement < AGREEMENT:
            raise ConfigError(
                f"the int8 file agrees with the model on {drift.agreement:.1%} of the pixels (delta1), "
                f"{AGREEMENT:.0%} are needed; give --images of the target, or export without --int8"
            )
        if not int8 and not drift.relative <= tolerance:
            raise ConfigError(
                f"the exported file drifts from the model: {drift}, {tolerance:g} is allowed; nothing was written, "
                "try another --format or a fixed --size"
            )
