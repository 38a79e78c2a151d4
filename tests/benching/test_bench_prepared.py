"""What is measured of a file is the file: each runtime, called as the measurement calls it, gives the same map."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kdcli.exporters import export, load_exported
from kdcli.exporters.gate.pictures import synthetic
from kdcli.types import DepthKind, Prediction

SIZE = (32, 48)


class Net(nn.Module):
    """One convolution: converters take long for more."""

    depth_kind = DepthKind.METRIC
    depth_range = (0.0, 20.0)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.layer(image).abs() + 0.1, kind=self.depth_kind)


def _openvino(given: Any) -> Any:
    return next(iter(given.values()))


FORMATS: dict[str, tuple[str, str, Callable[[Any], Any] | None]] = {
    "onnx": ("net.onnx", "onnxruntime", lambda given: given[0]),
    "pt2": ("net.pt2", "torch", lambda given: given),
    "openvino": ("net.xml", "openvino", _openvino),
    "ncnn": ("net.ncnn.param", "ncnn", lambda given: given[1].numpy()),
    "executorch": ("net.pte", "executorch", lambda given: given[0]),
    "litert": ("net.tflite", "litert_torch", None),
}
"""Format -> file, module, and how the map is taken out of what the runtime gives back."""
SLOW = ("executorch", "litert")


@pytest.mark.parametrize("form", [
    pytest.param(form, marks=[pytest.mark.slow] if form in SLOW else []) for form in FORMATS
])  # fmt: skip
def test_a_prepared_file_gives_its_map(form: str, tmp_path: Path) -> None:
    name, module, taken = FORMATS[form]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install 'kdcli[{form}]'")
    export(Net().eval(), form, tmp_path / name, size=SIZE, verify=False)
    model, image = load_exported(tmp_path / name), synthetic(1, SIZE)
    once = model.prepared(image)
    wanted = model(image).depth.numpy()
    for _ in range(2):
        given = once()
    if taken is not None:
        assert np.allclose(np.asarray(taken(given)).reshape(wanted.shape), wanted, atol=1e-4)
    else:  # it keeps the map to itself
        call: Any = model._call
        assert np.allclose(call._runs.get_tensor(call._out[0]), wanted, atol=1e-4)


@pytest.mark.slow
def test_executorch_works_with_as_many_threads_as_pytorch(tmp_path: Path) -> None:
    if importlib.util.find_spec("executorch") is None:
        pytest.skip("executorch is not installed: pip install 'kdcli[executorch]'")
    from executorch.extension.pybindings import portable_lib

    export(Net().eval(), None, tmp_path / "net.pte", size=SIZE, verify=False)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        first = load_exported(tmp_path / "net.pte")
        assert portable_lib._threadpool_get_thread_count() == 2
        torch.set_num_threads(1)
        load_exported(tmp_path / "net.pte")  # the first one counts on the threads that there are
        assert portable_lib._threadpool_get_thread_count() == 2
        assert first(synthetic(1, SIZE)).depth.isfinite().all()
        del first
        load_exported(tmp_path / "net.pte")
        assert portable_lib._threadpool_get_thread_count() == 1
    finally:
        torch.set_num_threads(before)
