"""What there is to know of a GPU, in one run of some minutes: tests, the default run, steps, simulator, mixer, loss.

python benchmarks/cuda.py [--device cuda] [--rounds 9] [--skip tests default] [--tiny] [--out cuda.json]

tests      those that a GPU, or what stands in for one, can fail
default    ``kdcli distill`` with no option but the device: seconds, delta1 of student, teacher and twin
steps      AdaBins -> mobilenet and MFF ResNet-34 -> MobileNetV2, weights at random: a step beside its networks alone
           and the plain eager float32 loop, with bf16 where the GPU has it, and in float32 with TF32; how long it waits
compiled   the same with ``--compile``
graphs     the same with the student as CUDA graphs; on a GPU alone
orders     forward and back of the students in contiguous memory, as a share of channels-last
simulator  images a second, rendered anew at 240x320
mixer      the object mixer beside a copy of images and object ids
loss       the divergence between depth probability maps at KITTI's size beside its formula (``dpm_loss.py``)

Each part stands alone: one that fails is written down, the others go on, and the script ends with 1. ``--tiny`` runs
all of it on small networks and images: on a CPU in a minute, to see that it works.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from dpm_loss import compare
from render_share import median_seconds
from teacher_step import random_teacher

from kdcli.benching.step import bench_step
from kdcli.benching.step_beside import PLAIN
from kdcli.choosing import choose as configured
from kdcli.devices import autocast_dtype, choose
from kdcli.mixers.object import ObjectMixer
from kdcli.networks.activations import out_of_place
from kdcli.plugins import registry
from kdcli.sources import load_source
from kdcli.training.run.student_form import order_ratio
from kdcli.training.step.mixing import mix_step

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("test_cuda", "test_device", "test_no_waiting", "test_precision")
PAIRS = (
    ("adabins", "mobilenet", (416, 544), 8), ("mff,backbone=resnet34", "mff,backbone=mobilenet_v2", (228, 304), 16),
)
TINY = (("mobilenet,width=0.5", "mobilenet,width=0.35", (32, 48), 2),)
AMOUNT = {"test_cuda": 120, "default": 240}
"""Most seconds of what runs in a process of its own."""


def tests(given: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    files = [f"tests/training/{name}.py" for name in (TESTS[:1] if given.tiny else TESTS)]
    done = subprocess.run(
        # Without the project's own -q: twice as quiet leaves out the line that is wanted.
        [sys.executable, "-m", "pytest", "-o", "addopts=-q", "-p", "no:cacheprovider", *files], cwd=ROOT, text=True,
        capture_output=True, timeout=AMOUNT["test_cuda"],
    )
    if done.returncode not in (0, 5):  # 5: all of them need a GPU
        raise RuntimeError(done.stdout[-2000:])
    return {"told": done.stdout.strip().splitlines()[-1]}


def default(given: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    tiny = ["--steps", "2", "--size", "32x48", "--batch-size", "2", "--student", "mobilenet,width=0.35", "--no-twin",
            "--recipe", "plain", "--eval-data", "none", "--set", "export=none"]
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "kdcli", "distill", "--json", "--device", str(device), "--logger", "none", "--out",
             f"{folder}/run", *(tiny if given.tiny else [])],
            check=True, stdout=subprocess.PIPE, text=True, timeout=AMOUNT["default"],
        )
        seconds = time.perf_counter() - begin
    told = json.loads(done.stdout)
    return {"seconds": seconds, "steps": told["steps"], "eval": {
        name: result["metrics"].get("delta1") for name, result in told["eval"].items()
    }}


def steps(
    given: argparse.Namespace, device: torch.device,
    settings: tuple[tuple[str, ...], ...] = (("amp=auto",), ("amp=off", "tf32=on")),
) -> list[dict[str, Any]]:
    rows = []
    for teacher, student, size, batch in TINY if given.tiny else PAIRS:
        for setting in settings[:1] if given.tiny else settings:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            with tempfile.TemporaryDirectory() as folder:
                flags = {
                    "teachers": (f"run:{random_teacher(teacher, Path(folder))}",), "student": student, "size": size,
                    "batch_size": batch, "data": f"sim:rooms,count={4 * batch}", "eval_data": "none",
                }
                config = configured("plain", flags, setting, twin=False).config
                report = bench_step(config, device, rounds=given.rounds, warmup=3)
            told = report.document()
            speed = 1 / told["ratios"][PLAIN]["median"]
            print(f"{teacher} -> {student}, {setting}: {speed:.2f} times the plain loop, waiting {report.waiting:.1%}")
            rows.append({"of": teacher, "setting": list(setting), "times_the_plain_loop": speed, **told})
    return rows


def compiled(given: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    return steps(given, device, (("amp=auto", "compile=default", "teacher_engine=compile"),))


def graphs(given: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    return steps(given, device, (("amp=auto", "compile=reduce-overhead"),))


def orders(given: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    rows = []
    for _, student, size, batch in TINY if given.tiny else PAIRS:
        network: Any = registry.build("student", student)
        image = torch.rand(batch, 3, *size, device=device)
        ratio = order_ratio(out_of_place(network).to(device).train(), image, autocast_dtype(device))
        rows.append({"student": student, "size": list(size), "batch_size": batch, "contiguous": ratio})
    return rows


def simulator(given: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    batch, size = (4, (48, 64)) if given.tiny else (256, (240, 320))
    rows = []
    for world in ("blocks", "rooms", "interiors", "streets"):
        source: Any = load_source(f"sim:{world}")

        def render(number: int, source: Any = source) -> object:
            return source.batch(list(range(number * batch, (number + 1) * batch)), size, device)

        seconds = median_seconds(render, given.rounds, device)
        rows.append({"world": world, "size": list(size), "batch_size": batch, "images_per_second": batch / seconds})
    return rows


def mixer(given: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    count, size = (4, (48, 64)) if given.tiny else (64, (240, 320))
    source: Any = load_source("sim:rooms")
    batch = source.batch(list(range(count)), size, device)
    mix = ObjectMixer()

    def mixed(number: int) -> object:
        return mix.mix(batch, mix_step(batch, seed=number, stage="benchmark", step=0, total=1))

    def copied(_: int) -> object:
        return batch.image.clone(), batch.instances.clone(), batch.depth.clone()

    pairs = [(median_seconds(mixed, 3, device), median_seconds(copied, 3, device)) for _ in range(given.rounds)]
    ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
    return {"batch_size": count, "size": list(size), "mixer_ms": 1000 * ours, "copy_ms": 1000 * theirs,
            "ratio": statistics.median(one / other for one, other in pairs)}


def loss(given: argparse.Namespace, device: torch.device) -> list[dict[str, object]]:
    size, batch = ("64x96", 1) if given.tiny else ("352x704", 8)
    asked = argparse.Namespace(dataset="kitti", batch_size=batch, size=size, rounds=2 if given.tiny else 5, threads=1)
    return compare(asked, "planes", device)


PARTS: dict[str, Callable[[argparse.Namespace, torch.device], Any]] = {
    "tests": tests, "default": default, "steps": steps, "compiled": compiled, "graphs": graphs, "orders": orders,
    "simulator": simulator, "mixer": mixer, "loss": loss,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--skip", nargs="*", choices=PARTS, default=[])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    device = choose(given.device)
    cuda = device.type == "cuda"
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if cuda else "cpu", "torch": torch.__version__,
        "rounds": given.rounds, "tiny": given.tiny, "failed": {},
    }
    for name, part in PARTS.items():
        if name in given.skip or (name == "graphs" and not cuda):
            continue
        begin = time.perf_counter()
        try:
            found[name] = part(given, device)
        except Exception as error:  # whatever one part dies of, the others are measured
            found["failed"][name] = f"{type(error).__name__}: {error}"
        print(f"{name}: {found['failed'].get(name) or 'done'}, {time.perf_counter() - begin:.0f} s", flush=True)
    if cuda:
        found["peak_memory_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n")
    return int(bool(found["failed"]))


if __name__ == "__main__":
    sys.exit(main())
