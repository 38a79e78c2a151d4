"""What doctor says of formats and of eight bits."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from kdcli import doctor
from kdcli.devices import int8_instructions
from kdcli.doctor import formats
from kdcli.exporters.endings import ENDINGS

ROOT = Path(__file__).resolve().parents[2]


def test_every_format_is_named(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in doctor.examine(tmp_path)}
    assert {f"format {name}" for name in ENDINGS.values()} <= set(found)
    for name in ("onnx", "pt2"):
        assert (found[f"format {name}"].status, found[f"format {name}"].value) == ("ok", "comes with kdcli")
    assert "int8" in found


def test_what_was_tried_is_what_the_extras_name() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, pins in formats.tried().items():
        if name in ENDINGS.values():
            assert sorted(f"{package}=={release}" for package, release in pins.items()) == sorted(
                one for one in extras[name] if "==" in one
            )


LINES = ["torch>=2.11", "ncnn==2; extra == 'ncnn'", "pnnx==3; extra == 'ncnn'", "onnx>=1; extra == 'onnx'"]


@pytest.mark.parametrize(("installed", "status", "value", "hint"), [
    ({"ncnn": "2", "pnnx": "3+cpu"}, "ok", "ncnn 2, pnnx 3, as tried", ""),
    ({"ncnn": "2", "pnnx": "4"}, "warning", "ncnn 2, pnnx 4; tried: pnnx 3", "pip install 'kdcli[ncnn]'"),
    ({"ncnn": "2"}, "ok", "ncnn 2, pnnx not installed", "to write it: pip install 'kdcli[ncnn]'"),
])  # fmt: skip
def test_releases_are_held_against_those_tried(
    installed: dict[str, str], status: str, value: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if package not in installed:
            raise PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr(formats, "requires", lambda _: LINES)
    monkeypatch.setattr(formats, "version", version)
    (told,) = [finding for finding in formats.each_format() if finding.name == "format ncnn"]
    assert (told.status, told.value, told.hint) == (status, value, hint)


@pytest.mark.parametrize(("can", "known", "told"), [
    ({"avx2": True, "avx512_vnni": True, "avx_vnni": False}, ("AVX-512 VNNI",), "can be faster"),
    ({"neon": True, "dot": True}, ("ARM dot products",), "can be faster"),
    ({"avx2": True, "avx512_vnni": False}, (), "not faster"),
    ({}, None, "unknown"),
])  # fmt: skip
def test_instructions_for_bytes(
    can: dict[str, bool], known: tuple[str, ...] | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: can, raising=False)
    assert int8_instructions() == known
    assert told in next(formats.eight_bits()).value
