"""What control groups of both versions leave to a process, in trees as Linux shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdcli.limits.memory import free, limit

GIB = 2**30


def tree(root: Path, files: dict[str, object]) -> Path:
    for name, content in {"proc/meminfo": f"MemTotal: 99999999 kB\nMemAvailable: {8 * 2**20} kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return root


def test_without_groups_the_machine_counts(tmp_path: Path) -> None:
    assert (limit(tree(tmp_path, {})), free(tmp_path)) == (None, 8 * GIB)


def test_version_2_of_a_job_below_its_allocation(tmp_path: Path) -> None:
    job = "sys/fs/cgroup/system.slice/slurm/job_7"
    tree(tmp_path, {
        "proc/self/cgroup": "0::/system.slice/slurm/job_7/step_0",
        f"{job}/step_0/memory.max": "max", f"{job}/step_0/memory.current": 1 * GIB,
        f"{job}/memory.max": 4 * GIB, f"{job}/memory.current": 3 * GIB,
        f"{job}/memory.stat": f"anon {2 * GIB}\ninactive_file {GIB // 2}",
    })  # fmt: skip
    assert (limit(tmp_path), free(tmp_path)) == (4 * GIB, 3 * GIB // 2)


@pytest.mark.parametrize("seen_as_root", [True, False])
def test_version_1_in_a_container(tmp_path: Path, seen_as_root: bool) -> None:
    """Without a namespace of groups the path is the host's, and the container's own group is shown at the root."""
    place = "sys/fs/cgroup/memory" if seen_as_root else "sys/fs/cgroup/memory/docker/0123"
    tree(tmp_path, {
        "proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/0123\n3:cpu,cpuacct:/docker/0123\n0::/",
        f"{place}/memory.limit_in_bytes": 2 * GIB, f"{place}/memory.usage_in_bytes": 3 * GIB,
        f"{place}/memory.stat": f"inactive_file 5\ntotal_inactive_file {2 * GIB}",
    })  # fmt: skip
    assert (limit(tmp_path), free(tmp_path)) == (2 * GIB, GIB)


def test_a_limit_that_is_none_and_a_damaged_one_do_not_count(tmp_path: Path) -> None:
    tree(tmp_path, {
        "proc/self/cgroup": "4:memory:/\nnonsense\n0::/../..", "sys/fs/cgroup/memory.max": "many",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712,
        "sys/fs/cgroup/memory/memory.usage_in_bytes": GIB,
    })  # fmt: skip
    assert (limit(tmp_path), free(tmp_path)) == (None, 8 * GIB)


def test_what_a_full_group_leaves_is_nothing(tmp_path: Path) -> None:
    tree(tmp_path, {"sys/fs/cgroup/memory.max": GIB, "sys/fs/cgroup/memory.current": 2 * GIB})
    assert free(tmp_path) == 0
