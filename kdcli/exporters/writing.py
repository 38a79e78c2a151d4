"""Export a model: choose what stays open, write the file, let it through the gate."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.exporters.card import describe
from kdcli.exporters.endings import chosen
from kdcli.exporters.gate.compare import Drift
from kdcli.exporters.gate.judge import TOLERANCE, Precision
from kdcli.exporters.gate.prove import prove
from kdcli.exporters.inputs import DESCRIBED, Input, TakesBytes
from kdcli.exporters.quantising.floating import Floating
from kdcli.exporters.quantising.search import Writer, within_budget
from kdcli.exporters.quantising.sensitive import by_effect
from kdcli.exporters.quantising.shown import Shown, made_up, parted
from kdcli.exporters.report import ExportReport
from kdcli.exporters.sizes import bytes_of, sha256_of_all
from kdcli.exporters.trace import WithSpread
from kdcli.garbage import uncollected
from kdcli.networks.deployed import deployed
from kdcli.networks.modes import modes_kept
from kdcli.networks.shown_size import difference
from kdcli.plugins import registry
from kdcli.plugins.blame import blame
from kdcli.protocols import Exporter
from kdcli.together import together
from kdcli.types import MadeFor

DEFAULT_SIZE = (192, 256)
"""Height and width that are tried out, and fixed where the network cannot leave them open, where a model does not say
what it was made for."""


def export(
    model: nn.Module,
    format: str | None,
    path: Path | str,
    *,
    size: tuple[int, int] | Literal["dynamic"] | None = None,
    verify: bool = True,
    images: Tensor | Shown | None = None,
    int8: bool = False,
    precision: Precision = "fp32",
    input: Input = "float",
    tolerance: float | None = None,
    card: Mapping[str, Any] | None = None,
    uncertainty: bool = False,
) -> ExportReport:
    """Write a model in a format and check the file against it; a file that does not pass is removed.

    What is written is the model's form for inference alone, where it has one (``deployed()``), what it is checked
    against is the model as it is.

    Args:
        model: a depth model in eval mode.
        format: name of an exporter plugin; None: the one that the ending of ``path`` stands for.
        path: of the file.
        size: (height, width) fixes them; ``dynamic`` insists on leaving them open; None leaves them open where the
            network and the format allow it, and where not fixes what the model was made for, with a note.
        verify: run the parity gate: the export's size, a batch of two, another size, right or refused.
        images: B x 3 x H x W in 0..1 for the gate; synthetic ones when None. In eight bits every other one is for
            calibration, unless they come parted.
        int8: short for ``precision="int8"``.
        precision: ``fp16`` or ``int8`` write fewer bits, where the format's exporter can; judged by depth then.
        input: ``uint8``: the file takes B x H x W x 3 bytes, as cameras give them.
        tolerance: largest difference relative to the largest depth of a file in float32; the format's own when None.
        card: what is known of the student, written into the file's metadata.
        uncertainty: two further outputs, ``std`` and ``entropy`` (as a share of ln K), of a model with depth bins; each
            has to pass the gate.

    Raises:
        ConfigError: the network cannot be exported like that, or the file drifts from it. PluginError: no such format.
    """
    begin, target = time.perf_counter(), Path(path)
    precision = "int8" if int8 else precision
    format = chosen(format, target)
    exporter: Exporter = registry.build("exporter", format)
    _require_sense(exporter, format, target, precision, uncertainty)
    metadata = describe(model, card) | {"image": DESCRIBED[input], "precision": precision}
    given, notes = model, []
    if isinstance(size, tuple) and (told := difference(model, size)):
        notes.append(f"the file {told}")
    with modes_kept(given):
        model.eval()
        with blame(given, "deployed"):
            form = deployed(model)
        metadata["parameters"] = str(sum(parameter.numel() for parameter in form.parameters()))
        if uncertainty:
            model, form = _with_spread(model), WithSpread(form).eval()
            metadata["outputs"] = json.dumps(WithSpread.outputs)
        if input == "uint8":
            model, form = TakesBytes(model), TakesBytes(form).eval()
        with together(target) as temporary:
            shape = tried_at(given, size)
            fixed, shown = isinstance(size, tuple), None
            if precision == "int8":
                shown = _shown(images, shape)
                metadata |= {"int8": "true", "calibrated_on": shown.told}
                notes.append(f"int8 was calibrated on {shown.told}")
            write = partial(_write, exporter, form, temporary, shape, metadata, precision, shown)
            if not fixed:
                try:
                    writer = write(dynamic=True)
                except ConfigError as error:
                    if size == "dynamic":
                        raise
                    fixed = True
                    notes.append(f"height and width are fixed to {shape[0]}x{shape[1]}: {error}")
            if fixed:
                writer = write(dynamic=False)
            if not fixed and shape != DEFAULT_SIZE:
                notes.append(f"it takes images of any size, and was made for {shape[0]}x{shape[1]}")
            drift: tuple[Drift, ...] = ()
            limit = getattr(exporter, "tolerance", TOLERANCE) if tolerance is None else tolerance
            gate = partial(prove, exporter, temporary, model, images=_judged_on(images, shown), size=shape, fixed=fixed,
                           precision=precision, tolerance=limit)
            if writer is not None and verify:
                assert shown is not None
                order = partial(by_effect, form, shown.calibrate)
                held = within_budget(partial(_run, exporter, writer), gate, order)
                drift, notes = held.drift, [*notes, *held.notes]
            elif verify:
                drift, told_of = gate()
                notes += told_of
            elif writer is not None:
                _run(exporter, writer, Floating())
            names = tuple(sorted(one.name for one in temporary.parent.iterdir()))
    written = sum(bytes_of(target.parent / name) for name in names)
    return ExportReport(
        path=target, format=format, files=names, bytes=written, share=written / (4 * int(metadata["parameters"])),
        sha256=sha256_of_all(target), size=shape if fixed else None, int8=precision == "int8",
        seconds=time.perf_counter() - begin, drift=drift, notes=tuple(notes),
    )


def size_of(report: ExportReport) -> tuple[int, int]:
    """Return the height and width that an export was tried out at."""
    seen = report.drift[0].shape[-2:] if report.drift else DEFAULT_SIZE
    return report.size or (seen[0], seen[1])


def tried_at(model: nn.Module, size: tuple[int, int] | str | None) -> tuple[int, int]:
    """Return the height and width that an export is tried out at: those asked for, else what the model was made for."""
    if isinstance(size, tuple):
        return size
    made = getattr(model, "made_for", None)
    known = (made.eval_size or made.train_size) if isinstance(made, MadeFor) else None
    return known or DEFAULT_SIZE


def _require_sense(exporter: Exporter, format: str, target: Path, precision: Precision, uncertainty: bool) -> None:
    """Refuse what does not go together before anything is traced.

    Raises:
        ConfigError: the format has no such numbers, or the file cannot be.
    """
    known = getattr(exporter, "precisions", ("fp32",))
    if precision not in known:
        told = "--int8" if precision == "int8" else f"--precision {precision}"
        raise ConfigError(f"{told} does not go with --format {format}, which writes {', '.join(known)}")
    if target.is_dir() and target.suffix != exporter.suffix:
        raise ConfigError(f"'{target}' is a folder; give a file, for example {target / 'student'}{exporter.suffix}")
    if precision == "int8" and uncertainty:
        raise ConfigError("--int8 and --uncertainty do not go together: eight bits leave no digits of a deviation; "
                          "export two files")


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


def _shown(images: Tensor | Shown | None, size: tuple[int, int]) -> Shown:
    """Return images to calibrate and to judge on, at a size."""
    if images is None:
        return made_up(size)
    return (images if isinstance(images, Shown) else parted(images)).at(size)


def _judged_on(images: Tensor | Shown | None, shown: Shown | None) -> Tensor | None:
    if shown is not None:
        return shown.judge
    return images.judge if isinstance(images, Shown) else images


def _write(
    exporter: Exporter, model: nn.Module, path: Path, size: tuple[int, int], metadata: dict[str, str],
    precision: Precision, shown: Shown | None, *, dynamic: bool,
) -> Writer | None:
    """Write the file; in eight bits return what does, once it is told what stays in float.

    No garbage is collected meanwhile. With PyTorch 2.14 a process that wrote some twenty networks died twice; the one
    stack that was seen had the collector at work while a node of an exported graph was being made.
    """
    said = "dynamic" if dynamic else f"{size[0]}x{size[1]}"
    known = {**metadata, "size": said}
    more: dict[str, Any] = {"half": True} if precision == "fp16" else {}
    if shown is not None:
        with blame(exporter, "quantised"), uncollected():
            made: Writer = exporter.quantised(  # type: ignore[attr-defined]
                model, path, size=size, dynamic=dynamic, metadata=known, images=shown.calibrate)
        return made
    with blame(exporter, "export"), uncollected():
        exporter.export(model, path, size=size, dynamic=dynamic, metadata=known, **more)
    return None


def _run(exporter: Exporter, writer: Writer, floating: Floating) -> int:
    with blame(exporter, "quantised"):
        return writer(floating)
