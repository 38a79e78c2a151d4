from __future__ import annotations

from pathlib import Path

import pytest

from kdcli.errors import ConfigError, PluginError
from kdcli.exporters.endings import ENDINGS, chosen, format_of, is_exported
from kdcli.plugins import registry


def test_every_format_of_kdcli_has_its_ending_in_the_table() -> None:
    own = {plugin.name for plugin in registry.discover() if plugin.kind == "exporter" and plugin.built_in}
    assert own <= set(ENDINGS.values())
    for ending, name in ENDINGS.items():
        if name in own:
            assert registry.build("exporter", name).suffix == ending


def test_the_ending_chooses_and_contradictions_are_refused() -> None:
    assert chosen(None, Path("a.onnx")) == "onnx" and chosen("pt2", Path("a.pt2")) == "pt2"
    assert chosen("onnx", Path("a")) == "onnx" and chosen("onnx", Path("a.v2")) == "onnx"
    with pytest.raises(ConfigError, match=r"not named as pt2; write 'a\.pt2'"):
        chosen("pt2", Path("a.onnx"))
    with pytest.raises(ConfigError, match=r"does not say its format.*Did you mean '\.onnx'"):
        chosen(None, Path("a.onx"))
    with pytest.raises(ConfigError, match="does not say its format"):
        chosen(None, Path("a"))
    with pytest.raises(PluginError, match="onyx"):
        chosen("onyx", Path("a.onnx"))


def test_files_of_kdcli_are_known_by_their_names() -> None:
    assert is_exported("small.ncnn.param") and is_exported(Path("a.tflite")) and not is_exported("s.safetensors")
    assert format_of(Path("a.zip")) is None
