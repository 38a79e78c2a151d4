"""A student is the same however many processes train it.

In float64, where rounding is out of sight: in float32 a network with batch norms carries a difference of 1e-7 in one
step to 1e-5 in the next, in one process as in two.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from started import TINY, apart, started
from torch import Tensor

from kdcli.weights import load_state

DOUBLE = str(Path(__file__).with_name("in_double.py"))
SYNC = ("--set", "sync_batch_norm=true", "--set", "amp=off", "--lr", "1e-4")
WAYS = {
    "plain": ("--recipe", "plain", "--data", "sim:blocks,count=64"),
    "data-free": ("--recipe", "data-free", "--data", "sim:blocks,count=64", "--set", "fit.steps=3"),
    "joint": ("--recipe", "data-free", "--data", "sim:blocks,count=64", "--transform", "joint"),
    "tie-kd": ("--recipe", "plain", "--student", "mobilenet,width=0.35,head=bins", "--data", "sim:blocks,count=64",
               "--loss", "tie-kd=1", "--set", "task_loss=log-l1"),
    "dfad": ("--recipe", "dfad", "--size", "64x96"),  # norms of maps of one pixel magnify every rounding
    "features": ("--recipe", "plain", "--data", "sim:blocks,count=64", "--loss", "features=1"),
    "relational": ("--recipe", "plain", "--data", "sim:blocks,count=64", "--loss", "relational=1", "--loss",
                   "log-l1=1", "--set", "accumulate=2"),
}


@pytest.mark.parametrize("way", [name if name == "plain" else pytest.param(name, marks=pytest.mark.slow(share=0.5))
                                 for name in WAYS])
def test_two_processes_and_one(way: str, tmp_path: Path) -> None:
    for processes in (1, 2):
        started(processes, DOUBLE, *TINY, *WAYS[way], *SYNC, "--out", f"run{processes}", folder=tmp_path)
    assert apart(tmp_path / "run1", tmp_path / "run2") < 1e-6
    one, two = (load_state(tmp_path / f"run{n}" / "student.safetensors") for n in (1, 2))
    assert one.keys() == two.keys()
    assert all(close(one[name], two[name]) for name in one)


def close(one: Tensor, two: Tensor) -> bool:
    return float((one.double() - two.double()).abs().max()) <= 1e-5 * max(1.0, float(one.double().abs().max()))
