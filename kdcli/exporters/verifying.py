"""A file that was written earlier, and what a device gave for it: held against the model, nothing is written."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from kdcli.errors import ConfigError
from kdcli.exporters.card import fingerprint
from kdcli.exporters.endings import chosen
from kdcli.exporters.gate.brought import read_brought
from kdcli.exporters.gate.compare import compare
from kdcli.exporters.gate.judge import TOLERANCE, Precision, judge
from kdcli.exporters.gate.mistakes import saying_why
from kdcli.exporters.inputs import DESCRIBED, Input, TakesBytes, input_in
from kdcli.exporters.report import ExportReport
from kdcli.exporters.sidecar import outputs_in
from kdcli.exporters.sizes import bytes_of, sha256_of_all
from kdcli.exporters.trace import WithSpread
from kdcli.plugins import registry
from kdcli.plugins.blame import blame
from kdcli.protocols import Exporter


def verify(
    model: nn.Module, path: Path, brought: Path, *, format: str | None = None, asked: Mapping[str, str] | None = None,
    tolerance: float | None = None,
) -> ExportReport:
    """Hold what a device gave for a file against the model that the file was made of.

    Args:
        model: in eval mode.
        path: of the file, of any format: what it takes, and in which precision it is written, is read from it.
        brought: NPZ with ``image`` as the file takes it and ``depth`` (``std`` and ``entropy`` where the file gives
            them), a map for each image.
        format: as for ``export``.
        asked: what the file has to say of itself, by key of its metadata.
        tolerance: as for ``export``.

    Raises:
        ConfigError: there is no such file, it is another model's or not what was asked for, or the maps fall short.
            DataError: they cannot be read. WeightsError: the file cannot.
    """
    begin, name = time.perf_counter(), chosen(format, path)
    if not path.exists():
        raise ConfigError(f"there is no file at '{path}' that these outputs could be of; export it first, with --probe "
                          "for images to take to the device")
    exporter: Exporter = registry.build("exporter", name)
    with blame(exporter, "load"):
        call = exporter.load(path)
    known: Mapping[str, str] = getattr(call, "metadata", {})
    _require(known, {"sha256": fingerprint(model)}, path, "is of another model; give the one that it was exported from")
    _require(known, asked or {}, path, "is not what was asked for; leave that out, or export it again")
    kind, names = input_in(known, path), outputs_in(known)
    told = read_brought(brought, names, kind)
    size: tuple[int, int] | None = getattr(call, "size", None)
    if size is not None and tuple(told.images.shape[-2:]) != size:
        raise ConfigError(f"'{brought}' has images of {told.images.shape[-2]}x{told.images.shape[-1]}; '{path}' takes "
                          f"{size[0]}x{size[1]}")
    wrapped = WithSpread(model).eval() if names != ("depth",) else model
    wrapped = TakesBytes(wrapped).eval() if kind == "uint8" else wrapped
    precision = _precision(known)
    limit = getattr(exporter, "tolerance", TOLERANCE) if tolerance is None else tolerance
    drift = []
    for part in told.each():
        found = compare(wrapped, part, part.images)
        with saying_why(wrapped, part, part.images, precision=precision, tolerance=limit):
            judge(found, precision=precision, tolerance=limit)
        drift += found
    count = len(told.images)
    note = f"proved by what a device gave for {count} image{'s' * (count > 1)} in '{brought.name}'; nothing was written"
    return ExportReport(
        path=path, format=name, files=(path.name,), bytes=bytes_of(path), sha256=sha256_of_all(path), size=size,
        int8=precision == "int8", seconds=time.perf_counter() - begin, drift=tuple(drift), notes=(note,),
    )


def asked(size: str | None, precision: str, input: Input, uncertainty: bool) -> dict[str, str]:
    """Return what a file has to say of itself, where the options of its export are given once more."""
    told = {"size": size or "", "precision": precision if precision != "fp32" else "",
            "image": DESCRIBED[input] if input != "float" else "",
            "outputs": json.dumps(WithSpread.outputs) if uncertainty else ""}
    return {key: value for key, value in told.items() if value}


def _require(known: Mapping[str, str], wanted: Mapping[str, str], path: Path, wrong: str) -> None:
    for key, value in wanted.items():
        if known.get(key, value) != value:
            raise ConfigError(f"'{path}' {wrong} ({key}: {known[key][:40]}, not {value[:40]})")


def _precision(known: Mapping[str, str]) -> Precision:
    if known.get("int8") == "true" or known.get("precision") == "int8":
        return "int8"
    return "fp16" if known.get("precision") == "fp16" else "fp32"
