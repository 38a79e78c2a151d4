"""Look at the machine: is everything here that kdcli needs, and what will be fast or slow."""

from __future__ import annotations

import contextlib
import importlib
import platform
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kdcli.doctor.finding import ERROR, OK, WARNING, Finding
from kdcli.doctor.formats import each_format, eight_bits
from kdcli.errors import ConfigError
from kdcli.limits import memory
from kdcli.limits.cores import cores
from kdcli.plugins import status as plugin_status
from kdcli.plugins.memory import cache_folder
from kdcli.version import __version__
from kdcli.weights.reach import forbidden_by

__all__ = ["ERROR", "OK", "WARNING", "Finding", "broken", "examine"]

ESSENTIAL = ("torch", "torchvision", "numpy", "PIL", "safetensors", "timm", "onnx", "onnxscript", "onnxruntime")
_DISTRIBUTIONS = {"PIL": "pillow"}
_GIB = 1024**3
_PYTHON = (3, 11)
LOW_DISK, LOW_MEMORY = 2.0, 4.0
"""GiB below which a warning is given: a run with checkpoints and a report, and the default distillation, need less."""


def examine(folder: Path) -> list[Finding]:
    """Examine the machine. folder: where runs will be written. Nothing here raises; trouble is a finding."""
    found: list[Finding] = []
    looks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("kdcli", _versions), ("packages", _packages), ("torch", _torch), ("onnxruntime", _onnxruntime),
        ("threads", _threads), ("memory", _memory), ("disk", lambda: _disk(folder)), ("cache", _cache),
        ("network", _network), ("plugins", _plugins), ("formats", each_format), ("int8", eight_bits),
    )
    for name, look in looks:
        try:
            found += look()
        except Exception as error:  # a doctor who falls ill at the patient's state helps nobody
            found.append(Finding(name=name, status=WARNING, value=f"{type(error).__name__}: {error}",
                                 hint="report this to kdcli"))
    return found


def broken(findings: list[Finding]) -> list[Finding]:
    """Return what is essential and does not work."""
    return [finding for finding in findings if finding.status == ERROR]


def _versions() -> Iterator[Finding]:
    yield Finding(name="kdcli", status=OK, value=__version__)
    fits = sys.version_info >= _PYTHON
    yield Finding(name="python", status=OK if fits else ERROR, value=f"{platform.python_version()} ({sys.executable})",
                  hint="" if fits else "install Python 3.11 or newer")
    yield Finding(name="system", status=OK, value=f"{platform.system()} {platform.release()} {platform.machine()}")


def _packages() -> Iterator[Finding]:
    for module in ESSENTIAL:
        distribution = _DISTRIBUTIONS.get(module, module)
        try:
            importlib.import_module(module)
            yield Finding(name=distribution, status=OK, value=version(distribution))
        except PackageNotFoundError:
            yield Finding(name=distribution, status=OK, value="version unknown")
        except Exception as error:  # a package may be there and still fail to import, each in its own way
            yield Finding(name=distribution, status=ERROR, value=f"{type(error).__name__}: {error}",
                          hint=f"pip install --upgrade {distribution}")


def _torch() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        why = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
        yield Finding(name="cuda", status=OK, value=f"none ({why}); work is done on the CPU")
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        yield Finding(
            name=f"cuda:{index}", status=OK,
            value=f"{facts.name}, {facts.total_memory / _GIB:.1f} GiB, compute {facts.major}.{facts.minor}, "
                  f"bf16 {'native' if native else 'not native, so not used'}",
        )


def _onnxruntime() -> Iterator[Finding]:
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    fits = "CPUExecutionProvider" in providers
    yield Finding(name="onnxruntime providers", status=OK if fits else WARNING, value=", ".join(providers),
                  hint="" if fits else "pip install --force-reinstall onnxruntime")


def _threads() -> Iterator[Finding]:
    import torch

    usable = cores()
    threads = torch.get_num_threads()
    crowded = threads > usable
    value = f"{threads} of torch on {usable} usable cores"
    yield Finding(name="threads", status=WARNING if crowded else OK, value=value,
                  hint=f"set OMP_NUM_THREADS={usable}" if crowded else "")


def _memory() -> Iterator[Finding]:
    free = memory.free()
    if free is None:
        yield Finding(name="memory", status=OK, value="unknown on this system")
        return
    low = free < LOW_MEMORY * _GIB
    yield Finding(name="memory", status=WARNING if low else OK, value=f"{free / _GIB:.1f} GiB available",
                  hint="use a smaller --batch-size or --size" if low else "")


def _disk(folder: Path) -> Iterator[Finding]:
    places = {"disk here": folder}
    with contextlib.suppress(ConfigError):  # what is told of the cache itself
        places["disk of the cache"] = cache_folder()
    for name, place in places.items():
        there = next((p for p in (place.absolute(), *place.absolute().parents) if p.exists()), Path("/"))
        free = shutil.disk_usage(there).free
        low = free < LOW_DISK * _GIB
        value = f"{free / _GIB:.1f} GiB free at {place.absolute()}"
        yield Finding(name=name, status=WARNING if low else OK, value=value,
                      hint="free some space, or use --out on another disk" if low else "")


def _cache() -> Iterator[Finding]:
    try:
        folder = cache_folder()
    except ConfigError as error:
        yield Finding(name="cache", status=WARNING, value=str(error).partition(";")[0], hint="set KDCLI_CACHE=DIR")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            yield Finding(name="cache", status=OK, value=f"{folder} is writable")
    except OSError as error:
        yield Finding(name="cache", status=WARNING, value=f"{folder}: {error.strerror}",
                      hint="set KDCLI_CACHE to a folder that can be written to")


def _network() -> Iterator[Finding]:
    yield Finding(name="network", status=OK, value="not used: KDCLI_OFFLINE is set" if forbidden_by() else
                  "used only to fetch weights that are asked for; KDCLI_OFFLINE=1 forbids it")


def _plugins() -> Iterator[Finding]:
    states = plugin_status.glance(plugin_status.listed())
    counts = Counter(state.status for state in states)
    third = sum(state.distribution != "kdcli" for state in states)
    bad = counts["broken"]
    own = sum(state.distribution == "kdcli" for state in states)
    value = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    if not own:
        yield Finding(name="plugins", status=ERROR, value="kdcli's own are not registered",
                      hint="reinstall kdcli: its entry points are missing")
        return
    yield Finding(name="plugins", status=WARNING if bad else OK, value=f"{value}; {third} by others",
                  hint="see: kdcli plugins list --check" if bad else "")
    for state in plugin_status.unreadable():
        yield Finding(name=f"distribution {state.distribution}", status=WARNING, value=state.error or "",
                      hint=f"pip install --force-reinstall {state.distribution}")
