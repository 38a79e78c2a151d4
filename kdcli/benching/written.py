"""Formats written to be measured: each file goes through the gate, as ``kdcli export`` has it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from torch import nn

from kdcli.benching.report import Failed
from kdcli.benching.subject import Size, Source
from kdcli.errors import ConfigError, KdcliError
from kdcli.exporters.gate.judge import Precision
from kdcli.exporters.writing import export
from kdcli.plugins import registry
from kdcli.protocols import Exporter

ALL = "all"
_PRECISIONS = ("fp32", "fp16", "int8")


def parse_formats(text: str | None) -> tuple[tuple[str, Precision], ...]:
    """Return what ``--formats`` names: ``onnx,openvino:fp16`` or ``all``.

    Raises:
        ConfigError: an unknown precision, or one format twice. PluginError: an unknown format.
    """
    if text is None:
        return ()
    known = sorted(plugin.name for plugin in registry.discover() if plugin.kind == "exporter")
    if text == ALL:  # what Core ML writes runs on a Mac alone
        return tuple((name, "fp32") for name in known if name != "coreml" or sys.platform == "darwin")
    found: list[tuple[str, Precision]] = []
    for part in text.split(","):
        name, _, precision = part.strip().partition(":")
        registry.find("exporter", name)
        if (precision or "fp32") not in _PRECISIONS:
            raise ConfigError(f"--formats '{part}': there is no precision '{precision}'; write {name}, {name}:fp16 or "
                              f"{name}:int8")
        one = (name, cast(Precision, precision or "fp32"))
        if one in found:
            raise ConfigError(f"--formats names '{part}' twice; name each once")
        found.append(one)
    return tuple(found)


def write(
    network: nn.Module, model: str, formats: Sequence[tuple[str, Precision]], folder: Path, size: Size,
    each: Callable[[str], None],
) -> tuple[list[Source], list[Failed]]:
    """Write a network in every format into a folder, at one size, and return the files, and what could not be had.

    each: told what comes next, in words.
    """
    sources, failed = list[Source](), list[Failed]()
    for format, precision in formats:
        name = f"{model} as {format}" + ("" if precision == "fp32" else f":{precision}")
        each(f"writing {name}")
        try:
            exporter: Exporter = registry.build("exporter", format)
            path = folder / f"{format}-{precision}" / f"m{exporter.suffix}"
            path.parent.mkdir()
            export(network, format, path, size=size, precision=precision)
        except KdcliError as error:
            failed.append(Failed(name=name, reason=str(error).replace(str(folder), ""), error=error))
            continue
        sources.append(Source(text=str(path), name=model, model=model, precision=precision))
    return sources, failed
