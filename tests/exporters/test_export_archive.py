from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdcli.errors import WeightsError
from kdcli.exporters import load_exported
from kdcli.exporters.archive import check_archive
from kdcli.exporters.pt2 import Pt2Exporter
from kdcli.types import DepthKind, Prediction


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, stride=2, padding=1)

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.conv(image).exp(), kind=DepthKind.METRIC)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must never run",))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "net.pt2"
    facts = {"depth_kind": "metric", "depth_range": "[0.1, 9.0]"}
    Pt2Exporter().export(_Net().eval(), path, size=(32, 48), dynamic=True, metadata=facts)
    return path


def _with(path: Path, target: Path, ending: str, change: Callable[[bytes], bytes], extra: str | None = None) -> Path:
    """Copy an archive with one member changed, or one added beside it."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, change(data) if name.endswith(ending) and extra is None else data)
        if extra is not None:
            new.writestr(f"{old.namelist()[0].partition('/')[0]}/{extra}", change(b""))
    return target


def _evil(_: bytes) -> bytes:
    stream = io.BytesIO()
    torch.save(_Evil(), stream)
    return stream.getvalue()


def _set(key: str, value: object) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        document, todo = json.loads(data), []
        todo.append(document)
        while todo:
            one = todo.pop()
            if isinstance(one, dict):
                if isinstance(one.get(key), type(value)):
                    one[key] = value
                    return json.dumps(document).encode()
                todo += one.values()
            elif isinstance(one, list):
                todo += one
        raise AssertionError(f"nothing to change at {key}")

    return change


def test_our_own_files_are_plain(good: Path) -> None:
    check_archive(good)
    assert load_exported(good)(torch.rand(1, 3, 40, 60)).depth.shape == (1, 1, 20, 30)


@pytest.mark.parametrize(
    ("ending", "change", "extra", "reason"),
    [
        ("weights_config.json", _set("use_pickle", True), None, "pickled weights"),
        ("models/model.json", _set("target", "torch.load"), None, "calls 'torch.load'"),
        ("models/model.json", _set("expr_str", "exec(chr(112))"), None, "computes a dimension"),
        ("models/model.json", _set("expr_str", "s0.__class__"), None, "computes a dimension"),
        ("sample_inputs/model.pt", _evil, None, "sample inputs"),
        ("", _evil, "data/constants/opaque_obj_0", "constants"),
        ("", _evil, "data/aotinductor/model/x.so", "compiled code"),
    ],
)
def test_what_could_run_code_is_refused(
    good: Path, tmp_path: Path, ending: str, change: Callable[[bytes], bytes], extra: str | None, reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = _with(good, tmp_path / "bad.pt2", ending, change, extra)
    with pytest.raises(WeightsError, match=reason) as caught:
        load_exported(bad)
    assert "\n" not in str(caught.value) and "could run code" in str(caught.value)
    assert "never run" not in capsys.readouterr().out
