"""How a student trains faster: forward and back in contiguous memory, or compiled, beside channels-last.

python benchmarks/memory_order.py [--students mobilenet mff,backbone=mobilenet_v2 ...] [--size 128x160] [--batch-size 4]
    [--rounds 9] [--threads 1] [--device auto] [--compile] [--out FILE.json]

All take turns in one process; medians of the rounds' ratios, of processor time on one thread of a CPU. Beside them
stands the share of depthwise convolutions, which one may think says it. --compile: also what ``compile=default`` makes
of a student, and the processor's time that compiling took.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # else it finds what it compiled before
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # else nobody waits for the compilers; both are read by the import

import torch
from torch import nn

from kdcli.devices import choose, keep_freed_memory
from kdcli.networks.activations import out_of_place
from kdcli.plugins import registry
from kdcli.spec import parse_size
from kdcli.training.run.student_form import LAST, ForwardAndBack, order_ratio
from kdcli.training.run.teacher_forms import ratios

STUDENTS = (
    "mobilenet", "mobilenet,width=0.5", "fastdepth", "guidedepth", "mff,backbone=mobilenet_v2", "mff,backbone=resnet34",
    "timm:mobilenetv3_large_100", "timm:efficientnet_lite0", "timm:resnet18", "zipdepth", "midas-small", "depthart",
)


def row(spec: str, given: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    torch.manual_seed(0)
    student: Any = registry.build("student", spec)
    convolutions = [part for part in student.modules() if isinstance(part, nn.Conv2d)]
    depthwise = sum(part.groups == part.in_channels > 1 for part in convolutions)
    image = torch.rand(given.batch_size, 3, *parse_size(given.size), device=device)
    student = out_of_place(student).to(device).train()
    ratio = order_ratio(student, image, rounds=given.rounds)
    compiled = compiled_row(student, image, given.rounds) if given.compile else {}
    return compiled | {"student": spec, "size": given.size, "batch_size": given.batch_size, "device": str(device),
            "threads": torch.get_num_threads(), "contiguous": ratio, "depthwise": depthwise,
            "convolutions": len(convolutions), "rounds": given.rounds, "torch": torch.__version__}


def processor() -> float:
    """Return the processor's seconds of this process and of the compilers that it has waited for."""
    return sum(os.times()[:4])


def compiled_row(student: nn.Module, image: torch.Tensor, rounds: int) -> dict[str, float]:
    forms = {name: ForwardAndBack(student, LAST, compiled=name) for name in ("off", "default")}
    begin = processor()
    forms["default"](image)
    return {"compile_s": processor() - begin, "compiled": ratios(forms, image, rounds)["default"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", nargs="+", default=list(STUDENTS))
    parser.add_argument("--size", default="128x160")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    device = choose(given.device)
    torch.set_num_threads(given.threads)
    keep_freed_memory()  # as training does
    rows = []
    for spec in given.students:
        rows.append(row(spec, given, device))
        told = rows[-1]
        more = f"  compiled {told['compiled']:.3f} after {told['compile_s']:.0f} s" if given.compile else ""
        print(f"{spec:28s} {told['contiguous']:6.3f}  {told['depthwise']}/{told['convolutions']} depthwise{more}",
              flush=True)
    if given.out is not None:
        given.out.write_text(json.dumps({"memory_order": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
