"""Peak memory of one model, in a process of its own: ``python -m kdcli.benching.alone``, asked by standard input.

A process has one peak for all that it does, so each model gets a process. Modules and libraries are loaded by a first
opening there, and a second one is what counts.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from kdcli.benching.subject import Size, Source

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory_of(source: Source, device: str, *, size: Size, batch: int, threads: int) -> int | None:
    """Return the bytes that opening a model and running it takes at its peak; None where that cannot be told.

    On a CPU that is Linux alone; on CUDA it is that of the tensors.
    """
    from kdcli.plugins.status import same_path

    asked = {"source": asdict(source), "device": device, "size": size, "batch": batch, "threads": threads}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "kdcli.benching.alone"], input=json.dumps(asked), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, env=same_path(),
        )
        told = json.loads(done.stdout)
    except (OSError, ValueError):
        return None
    return told if type(told) is int and told > 0 else None


def main() -> None:
    """Measure what standard input asks for, and print the bytes, or null."""
    import torch

    from kdcli.exporters.gate.pictures import synthetic
    from kdcli.plugins.isolate import stdout_to_stderr

    asked = json.load(sys.stdin)
    source, size = Source(**asked["source"]), (asked["size"][0], asked["size"][1])
    torch.set_num_threads(asked["threads"])
    device, image = torch.device(asked["device"]), synthetic(asked["batch"], size)
    with stdout_to_stderr():
        _use(source, device, image)
        found = _cuda_peak(source, device, image) if device.type == "cuda" else _peak(source, device, image)
    print(json.dumps(found))  # noqa: T201 - the answer


def _use(source: Source, device: object, image: object) -> None:
    from kdcli.benching.opening import opened

    subject = opened(source, device)  # type: ignore[arg-type]
    run = subject.ready((image.shape[-2], image.shape[-1]), len(image), image)  # type: ignore[attr-defined, arg-type]
    for _ in range(2):
        run()


def _peak(source: Source, device: object, image: object) -> int | None:
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc keeps what was given back
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _RESET.write_text("5", encoding="ascii")
        before = _told("VmRSS")
        _use(source, device, image)
        return _told("VmHWM") - before
    except OSError:
        return None


def _cuda_peak(source: Source, device: object, image: object) -> int:
    import torch

    gc.collect()
    torch.cuda.reset_peak_memory_stats(device)  # type: ignore[arg-type]
    before = torch.cuda.memory_allocated(device)  # type: ignore[arg-type]
    _use(source, device, image)
    return torch.cuda.max_memory_allocated(device) - before  # type: ignore[arg-type]


def _told(key: str) -> int:
    """Return a number of bytes that Linux tells of this process.

    Raises:
        OSError: it does not.
    """
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise OSError(f"{os.fspath(_STATUS)} has no {key}")


if __name__ == "__main__":
    main()
