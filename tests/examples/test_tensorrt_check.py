"""The script that runs TensorRT engines, as far as it goes without a GPU."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from kdcli.errors import ConfigError
from kdcli.exporters import export, load_exported
from kdcli.exporters.gate.brought import write_probe
from kdcli.exporters.verifying import verify
from kdcli.testing import ToyDepth

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "tensorrt" / "check.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tensorrt_check", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Made:
    """An engine that is an ONNX file."""

    outputs = ("depth",)

    def __init__(self, path: Path, *, swapped: bool = False) -> None:
        self.call, self.swapped = load_exported(path)._call, swapped

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        given = torch.from_numpy(image)
        return {"depth": self.call(given.flip(1) if self.swapped else given).numpy()}


def test_what_it_writes_is_judged(script: ModuleType, tmp_path: Path) -> None:
    model = ToyDepth().eval()
    with torch.no_grad():  # colours that are not alike
        first = next(one for one in model.parameters() if one.dim() == 4)
        first.mul_(torch.tensor([0.5, 1.0, 2.0]).view(1, 3, 1, 1))
    path, probe, out = (tmp_path / name for name in ("n.onnx", "probe.npz", "out.npz"))
    export(model, None, path, size=(32, 48))
    write_probe(probe, None, (32, 48), "float")
    assert "2 images; depth" in script.check(Made(path), probe, out)
    assert max(one.relative for one in verify(model, path, out).drift) < 1e-5
    script.check(Made(path, swapped=True), probe, out)
    with pytest.raises(ConfigError, match="red and blue are swapped"):
        verify(model, path, out)


def test_wrong_input_is_one_line(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probe, engine = tmp_path / "probe.npz", tmp_path / "n.engine"
    write_probe(probe, None, (32, 48), "float")
    engine.write_bytes(b"engine")

    def told(*words: Any) -> str:
        assert script.main([str(word) for word in words]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1
        return said

    assert "no engine at" in told(tmp_path / "gone.engine", probe, tmp_path / "o.npz")
    assert "is to be an NPZ" in told(engine, probe, tmp_path / "o.txt")
    if importlib.util.find_spec("tensorrt") is None:
        assert "pip install tensorrt cuda-python" in told(engine, probe, tmp_path / "o.npz")
    with pytest.raises(script.Trouble, match="no probe of kdcli"):
        script.check(Made.__new__(Made), engine, tmp_path / "o.npz")
    nothing = Made.__new__(Made)
    nothing.outputs = ("label",)  # type: ignore[assignment]
    with pytest.raises(script.Trouble, match="gives label, no depth"):
        script.check(nothing, probe, tmp_path / "o.npz")
    assert not (tmp_path / "o.npz").exists()
    with pytest.raises(SystemExit) as usage:
        script.main([])
    assert usage.value.code == 2
