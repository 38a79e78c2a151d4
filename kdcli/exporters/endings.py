"""Which format a file's name stands for."""

from __future__ import annotations

from pathlib import Path

from kdcli.errors import ConfigError, nearest
from kdcli.hub.address import is_hub
from kdcli.plugins import registry
from kdcli.protocols import Exporter

ENDINGS = {
    ".onnx": "onnx", ".pt2": "pt2", ".xml": "openvino", ".pte": "executorch", ".tflite": "litert",
    ".mlpackage": "coreml", ".param": "ncnn",
}
"""Of kdcli's own formats, so that a name is understood without a format's package."""


def is_exported(path: str | Path) -> bool:
    """Whether a path is named as a file of one of kdcli's own formats."""
    return Path(path).suffix in ENDINGS and not is_hub(path)


def format_of(path: Path) -> str | None:
    """Return the format whose ending a path has, plugins of others included; None where no format has it."""
    if path.suffix in ENDINGS:
        return ENDINGS[path.suffix]
    for plugin in registry.discover():
        passed = plugin.kind != "exporter" or plugin.built_in
        if not passed and getattr(registry.load(plugin), "suffix", None) == path.suffix:
            return plugin.name
    return None


def chosen(asked: str | None, path: Path) -> str:
    """Return the format to write: the one asked for, or the one that a file's name stands for.

    Raises:
        ConfigError: the two contradict one another, or the name stands for none. PluginError: no such format.
    """
    told = format_of(path) if path.suffix else None
    if asked is None:
        if told is not None:
            return told
        near = nearest(path.suffix, ENDINGS)
        raise ConfigError(f"'{path}' does not say its format; end it in {', '.join(ENDINGS)}, or give --format{near}")
    exporter: Exporter = registry.build("exporter", asked)
    if told is not None and path.suffix != exporter.suffix:
        raise ConfigError(f"'{path}' is not named as {asked}; write '{path.with_suffix(exporter.suffix)}'")
    return asked
