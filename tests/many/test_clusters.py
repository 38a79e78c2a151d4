"""The examples for SLURM and Kubernetes, started as they stand in the documents: two machines that are this one.

What a cluster would do is done by a few lines here: ``scontrol`` names its machines, ``srun`` starts a command on each,
and pods of an indexed Job get their index. The run, the number of GPUs, the name of the first machine and its port are
replaced by what there is here.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from started import TINY, environment, steps_of
from test_lifecycle import manifest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "many-processes.md"
SMALL = shlex.join([*TINY, "--steps", "2", "--recipe", "plain", "--data", "sim:blocks,count=8", "--out", "run"])
PROGRAMS = {
    "scontrol": """[ "$*" = "show hostnames one,two" ] && printf '127.0.0.1\\nelsewhere\\n'""",
    "srun": """SLURM_PROCID=0 SLURM_NODEID=0 "$@" & first=$!
SLURM_PROCID=1 SLURM_NODEID=1 "$@" & second=$!
wait $first; code=$?; echo "task 0 ended with $code"
wait $second; other=$?; echo "task 1 ended with $other"; exit $((code + other))""",
    "torchrun": f'exec {shlex.quote(sys.executable)} -m torch.distributed.run "$@"',
}


def example(language: str) -> str:
    """Return the one example of the page in a language that is about several machines."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(found)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Return a text with each pattern, which has to be there once, replaced."""
    for pattern, new in pairs:
        text, count = re.subn(pattern, lambda _, new=new: new, text)  # type: ignore[misc]
        assert count == 1, (pattern, text)
    return text


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """The environment of a job, with the programs of a cluster in its path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    return {**environment(), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


def check(run: Path) -> None:
    told = manifest(run)
    assert (told["state"], told["processes"]) == ("finished", 2)
    assert [row["step"] for row in steps_of(run)] == [1, 2]


@pytest.mark.slow(share=0.5)
def test_slurm(cluster: dict[str, str], tmp_path: Path) -> None:
    script = replaced(
        example("bash"), (r"--nproc-per-node 4", "--nproc-per-node 1"), (r"29500", f"{free_port()}"),
        (r"(?<=-m kdcli )distill .*", SMALL),
    )
    assert re.search(r"^#SBATCH .*--nodes=2 --ntasks-per-node=1 ", script, flags=re.MULTILINE)
    job = {"SLURM_NNODES": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "one,two"}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env={**cluster, **job},
                          capture_output=True, text=True, timeout=300, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-2:] == ["task 0 ended with 0", "task 1 ended with 0"]
    check(tmp_path / "run")


def manifests() -> list[dict[str, Any]]:
    """Return what the example gives to Kubernetes."""
    yaml = pytest.importorskip("yaml")
    return list(yaml.safe_load_all(example("yaml")))


def test_the_pods_of_a_job_find_one_another_by_its_service() -> None:
    service, job = manifests()
    assert (service["kind"], job["kind"], job["spec"]["completionMode"]) == ("Service", "Job", "Indexed")
    name, inside = job["metadata"]["name"], job["spec"]["template"]["spec"]
    assert service["metadata"]["name"] == inside["subdomain"] and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": name}
    (container,) = inside["containers"]
    words = container["command"]
    assert words[words.index("--rdzv-endpoint") + 1] == f"{name}-0.{inside['subdomain']}:29500"
    assert words[words.index("--nnodes") + 1] == f"{job['spec']['completions']}" == f"{job['spec']['parallelism']}"
    assert words[words.index("--nproc-per-node") + 1] == f"{container['resources']['limits']['nvidia.com/gpu']}"
    mounted = [one["mountPath"] for one in container["volumeMounts"]]
    assert "/runs" in mounted and "/data" in mounted
    assert all(isinstance(word, str) for word in words)


@pytest.mark.slow(share=0.5)
def test_kubernetes(cluster: dict[str, str], tmp_path: Path) -> None:
    (container,) = manifests()[1]["spec"]["template"]["spec"]["containers"]
    command = replaced(
        shlex.join(container["command"]), (r"kitti-0\.kitti:29500", f"127.0.0.1:{free_port()}"),
        (r"--nproc-per-node 4", "--nproc-per-node 1"), (r"(?<=-m kdcli )distill .*", SMALL),
    )
    pods = [
        subprocess.Popen(shlex.split(command), cwd=tmp_path, text=True, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, env={**cluster, "JOB_COMPLETION_INDEX": f"{index}"})
        for index in (0, 1)
    ]  # fmt: skip
    said = [pod.communicate(timeout=300)[1] for pod in pods]
    assert [pod.returncode for pod in pods] == [0, 0], "".join(said)[-3000:]
    check(tmp_path / "run")
