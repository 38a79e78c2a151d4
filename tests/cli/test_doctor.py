from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdcli import doctor
from kdcli.cli.app import app


def test_json_names_everything_and_is_fine_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "cache"))
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    found = {row["name"]: row for row in json.loads(done.stdout)}
    assert {"python", "torch", "onnxruntime providers", "threads", "disk here", "cache", "plugins"} <= set(found)
    assert all(row["status"] in ("ok", "warning") for row in found.values())
    assert any(name.startswith("cuda") for name in found)
    assert "CPUExecutionProvider" in found["onnxruntime providers"]["value"]


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "file" / "x"))
    found = {finding.name: finding for finding in doctor.examine(tmp_path)}
    assert found["cache"].status == "warning"
    assert "KDCLI_CACHE" in found["cache"].hint


def test_what_is_missing_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ESSENTIAL", ("numpy", "a_package_that_is_not_there"))
    bad = doctor.broken(doctor.examine(tmp_path))
    assert [finding.name for finding in bad] == ["a_package_that_is_not_there"]
    assert "pip install" in bad[0].hint


def test_the_exit_code_tells_that_something_essential_is_broken(tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("raise ImportError('built for another Python')")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "KDCLI_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-P", "-m", "kdcli", "doctor", "--json"], env=env, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 1
    assert "timm" in done.stderr
    assert [row["name"] for row in json.loads(done.stdout) if row["status"] == "error"] == ["timm"]


def test_a_look_that_fails_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall() -> None:
        raise OSError("no such thing")

    monkeypatch.setattr(doctor, "_memory", fall)
    found = {finding.name: finding for finding in doctor.examine(tmp_path)}
    assert found["memory"].status == "warning"
    assert "no such thing" in found["memory"].value


def test_offline_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    found = {finding.name: finding for finding in doctor.examine(tmp_path)}
    assert "KDCLI_OFFLINE is set" in found["network"].value
