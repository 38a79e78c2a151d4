"""The gate itself: a file runs in its own runtime, at its size and at another one, beside the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.exporters.gate.compare import Drift, compare
from kdcli.exporters.gate.form import same_form
from kdcli.exporters.gate.half import require_half_range
from kdcli.exporters.gate.judge import Precision, judge
from kdcli.exporters.gate.mistakes import saying_why
from kdcli.exporters.gate.pictures import all_at, another, images_for
from kdcli.plugins.blame import blame
from kdcli.protocols import Exporter


def prove(
    exporter: Exporter, path: Path, model: nn.Module, *, images: Tensor | None, size: tuple[int, int], fixed: bool,
    precision: Precision, tolerance: float,
) -> tuple[tuple[Drift, ...], list[str]]:
    """Hold a file against its model and return how far it is, and notes.

    Images: one of ``size``, two where the batch is open, one of another size; in eight bits all that are given, at
    either size, since what is told of such a file is a mean. A file that fixes its size has to refuse
    that one, or to give the right map. Of a file that nothing here runs (``runs = False``) only the form is held
    against the model's, and there are no differences to return. ``notes`` of the file are among those returned, and
    its ``flaw``, where it says one, keeps it out.

    Raises:
        ConfigError: the file falls short.
    """
    notes: list[str] = []
    with blame(exporter, "load"):
        call = exporter.load(path)
    batch: int | None = getattr(call, "batch", None)
    if batch is not None:
        notes.append(f"the batch is fixed to {batch}")
    notes += getattr(call, "notes", ())
    flaw: str | None = getattr(call, "flaw", None)
    if flaw is not None:
        cure = "export it with --precision fp32" if precision == "fp16" else "train the model, or mend its weights"
        raise ConfigError(f"the file {flaw}; nothing was written: {cure}")
    if not getattr(call, "runs", True):
        same_form(model, call, next(iter(images_for(images, size, other_size=False, two=False))))
        return (), notes
    if precision == "int8":
        batches = list(all_at(images, size, other_size=not fixed))
    else:
        batches = list(images_for(images, size, other_size=not fixed, two=batch is None))
    if precision == "fp16":
        require_half_range(model, batches[0])
    drift = []
    for image in batches:
        found = compare(model, call, image)
        with saying_why(model, call, image, precision=precision, tolerance=tolerance):
            judge(found, precision=precision, tolerance=tolerance)
        drift += found
    if any(one.flat for one in drift):
        notes.append("the model itself gives one number everywhere on these images, so that this proves little")
    if fixed:
        if not getattr(call, "refuses", True):
            notes.append(f"its runtime does not refuse images of another size than {size[0]}x{size[1]}: it gives wrong "
                         "maps for them")
        drift += _other(model, call, images, size, precision=precision, tolerance=tolerance)
    return tuple(drift), notes


def _other(model: nn.Module, call: Callable[[Tensor], Tensor], images: Tensor | None, size: tuple[int, int], *,
           precision: Precision, tolerance: float) -> list[Drift]:
    """Give a file of one size an image of another: a refusal says nothing, an answer has to be right."""
    image = another(images, size)
    try:
        call(image)
    except ConfigError:
        return []
    try:
        drift = compare(model, call, image)
        judge(drift, precision=precision, tolerance=tolerance)
    except ConfigError as error:
        raise ConfigError(f"the file says that it takes {size[0]}x{size[1]} alone, and answers other sizes wrongly: "
                          f"{error}") from error
    return drift
