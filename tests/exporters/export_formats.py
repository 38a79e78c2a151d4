"""The formats that tests write, and which of their packages are here."""

from __future__ import annotations

import importlib.util

import pytest

FORMATS = {
    "onnx": ("net.onnx", "onnxruntime"),
    "pt2": ("net.pt2", "torch"),
    "openvino": ("net.xml", "openvino"),
    "ncnn": ("net.ncnn.param", "ncnn"),
    "executorch": ("net.pte", "executorch"),
    "litert": ("net.tflite", "litert_torch"),
    "coreml": ("net.mlpackage", "coremltools"),
}
"""Format -> a name of a file, and what has to be installed."""


def there(form: str) -> None:
    """Skip where a format's package is not installed."""
    if importlib.util.find_spec(FORMATS[form][1]) is None:
        pytest.skip(f"{FORMATS[form][1]} is not installed: pip install 'kdcli[{form}]'")


def cells(*forms: str) -> list[object]:
    """Return formats as parameters; slow ones are marked."""
    marks = {form: [pytest.mark.slow] for form in ("litert", "executorch")}
    return [pytest.param(form, marks=marks.get(form, [])) for form in forms]
