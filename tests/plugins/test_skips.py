"""The tests of a package for kdcli skip with the reason where it, or what it stands on, is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("package", "gone", "reason"),
    [
        ("kdcli-huggingface", "transformers", "transformers not installed; pip install ./plugins/kdcli-huggingface"),
        ("kdcli-huggingface", "kdcli_huggingface", "kdcli_huggingface"),
        ("kdcli-pydnet", "kdcli_pydnet", "kdcli_pydnet not installed; pip install ./plugins/kdcli-pydnet"),
    ],
)
def test_without_it_they_skip(package: str, gone: str, reason: str) -> None:
    code = (f"import sys, pytest; sys.modules[{gone!r}] = None; "
            f"sys.exit(pytest.main(['-n', '0', '-q', '-rs', '-p', 'no:cacheprovider', 'plugins/{package}/tests']))")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), done.stdout + done.stderr
    assert reason in done.stdout
    assert "error" not in done.stdout.lower()
