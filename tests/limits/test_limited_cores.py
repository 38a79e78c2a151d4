"""How many cores control groups of both versions leave to a process, in trees as Linux shows them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdcli.limits.cores import cores


@pytest.fixture(autouse=True)
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return root


@pytest.mark.parametrize(("files", "usable"), [
    ({}, 16),
    ({"sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
    ({"sys/fs/cgroup/cpu.max": "150000 100000"}, 1),
    ({"sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
    ({"sys/fs/cgroup/cpu.max": "max 100000"}, 16),
    ({"sys/fs/cgroup/cpu.max": "3200000 100000"}, 16),
    ({"sys/fs/cgroup/cpu.max": "many"}, 16),
    ({"proc/self/cgroup": "0::/kubepods/pod7/box", "sys/fs/cgroup/kubepods/pod7/cpu.max": "400000 100000",
      "sys/fs/cgroup/kubepods/pod7/box/cpu.max": "max 100000"}, 4),
    ({"proc/self/cgroup": "3:cpu,cpuacct:/docker/0123", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 3),
    ({"proc/self/cgroup": "3:cpu,cpuacct:/docker/0123", "sys/fs/cgroup/cpu/docker/0123/cpu.cfs_quota_us": "-1",
      "sys/fs/cgroup/cpu/docker/0123/cpu.cfs_period_us": "100000"}, 16),
])  # fmt: skip
def test_a_quota_counts_as_so_many_whole_cores(tmp_path: Path, files: dict[str, str], usable: int) -> None:
    assert cores(tree(tmp_path, files)) == usable


def test_pytorch_has_no_more_threads_than_the_quota_allows() -> None:
    program = (
        "import torch; from kdcli import devices; torch.set_num_threads(7); devices.cores = lambda: 3; "
        "devices.limit_threads(); print(torch.get_num_threads())"
    )
    for said, threads in (({}, "3"), ({"OMP_NUM_THREADS": "7"}, "7")):
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"} | said
        told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout
        assert told.decode().strip() == threads
