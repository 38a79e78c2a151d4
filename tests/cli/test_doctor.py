from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdcli import doctor
from kdcli.cli.app import app
from kdcli.errors import KdcliError


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


def test_the_exit_code_tells_that_something_essential_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "built_for_another.py").write_text("raise ImportError('built for another Python')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "ESSENTIAL", ("numpy", "built_for_another"))
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert isinstance(done.exception, KdcliError)
    assert done.exception.exit_code == 1
    assert "built_for_another" in str(done.exception)
    bad = [row for row in json.loads(done.stdout) if row["status"] == "error"]
    assert [row["name"] for row in bad] == ["built_for_another"]
    assert "built for another Python" in bad[0]["value"]


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
