"""Errors that no guard met are traced to the plugin whose code they came through, and end the command with 3."""

from __future__ import annotations

from pathlib import Path

import pytest
from throwaway import distribution, run_kdcli

LOSS = """
import torch
from kdcli.types import ANY_KIND, Needs


class Odd(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise {error}


class Thing:
    api_version = {version}
    needs = Needs(kinds=ANY_KIND)
    value_at_equality = 0.0
    invariances = frozenset()

    def terms(self, ctx):
        return {{"odd": Odd.apply(ctx.student.out.depth.mean())}}
"""
RUN = ("distill", "--recipe", "plain", "--teacher", "ground-truth", "--student", "mobilenet,width=0.35",
       "--loss", "odd=1.0", "--data", "sim:blocks,count=8", "--size", "32x48", "--batch-size", "2",
       "--steps", "2", "--no-twin")


@pytest.mark.parametrize("error", ["SystemExit(0)", "BrokenPipeError()", "KeyboardInterrupt()"])
def test_an_end_of_python_in_a_backward_pass_is_a_plugin_error(error: str, tmp_path: Path) -> None:
    """One that exits with 0 in the middle of a run must not look like a run that ended well."""
    from kdcli.protocols import API_VERSION

    source = LOSS.format(error=error, version=API_VERSION)
    site = tmp_path / "site"
    distribution(site, "odd-losses", {"losses": {"odd": "thirdparty_odd:Thing"}}, {"thirdparty_odd.py": source})
    done = run_kdcli(*RUN, "--out", tmp_path / "run", path=site, cache=tmp_path / "cache")
    assert done.returncode == 3, done.stderr
    assert f"kdcli: loss 'odd' of odd-losses 1.0 failed: {error.partition('(')[0]}" in done.stderr
    assert "Traceback" not in done.stderr
