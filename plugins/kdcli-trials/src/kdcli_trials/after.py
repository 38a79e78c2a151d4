"""What can be done with students that have learned: ``python -m kdcli_trials.after CELLS/data-free/n400``.

The folder has a run of each seed, ``seedS``, with its student and its transformation network. Measured are
as-learned    the students as they are;
re-estimated  with batch norms whose statistics are anew those of transformed images;
soup          one student whose weights are the mean of theirs, with batch norms estimated anew (one number).
The difference of the second is paired by seed, with Student's 95 % interval.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import kdcli
from kdcli.errors import ConfigError
from kdcli.transform import load

T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's factor for so many seeds."""


@torch.no_grad()
def re_estimated(student: nn.Module, batch: Callable[[int], Tensor], batches: int) -> nn.Module:
    """Return a copy whose batch norms hold the mean statistics of so many batches of images; all else stays."""
    found = copy.deepcopy(student).eval()
    for part in found.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None
            part.train()
    for number in range(batches):
        found(batch(number))
    return found.eval()


def soup(students: list[nn.Module]) -> nn.Module:
    """Return a student whose weights are the mean of theirs."""
    found = copy.deepcopy(students[0])
    states = [student.state_dict() for student in students]
    found.load_state_dict({
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    })
    return found


def gain(before: list[float], after: list[float]) -> dict[str, float]:
    """Return mean and ends of the 95 % interval of paired differences."""
    apart = [b - a for a, b in zip(before, after, strict=True)]
    half = T95[len(apart)] * statistics.stdev(apart) / len(apart) ** 0.5
    middle = statistics.mean(apart)
    return {"mean": middle, "low": middle - half, "high": middle + half}


def main(arguments: list[str] | None = None) -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="sim:blocks,count=3000")
    parser.add_argument("--size", default="64x96")
    parser.add_argument("--batches", type=int, default=50, help="of 16 images, to estimate statistics by")
    parser.add_argument("--eval-data", default="sim:rooms,count=384,seed=3000")
    given = parser.parse_args(arguments)
    runs = sorted(run for run in given.folder.glob("seed*") if (run / "student.safetensors").is_file())
    if len(runs) not in T95:
        raise ConfigError(f"'{given.folder}' has {len(runs)} finished runs seedS; 2 to 10 are needed")
    height, width = map(int, given.size.split("x"))
    source: Any = kdcli.build("source", given.data)
    models: dict[str, nn.Module] = {}

    def feed(run: Path) -> Callable[[int], Tensor]:
        carry = load(run / "transform.safetensors")[0]

        def batch(number: int) -> Tensor:
            places = list(range(16 * number, 16 * number + 16))
            with torch.no_grad():
                moved: Tensor = carry(source.batch(places, (height, width), "cpu").image)
            return moved.clamp(0, 1)

        return batch

    students = [kdcli.build("teacher", f"run:{run}").eval() for run in runs]
    for run, student in zip(runs, students, strict=True):
        models[f"as-learned {run.name}"] = student
        models[f"re-estimated {run.name}"] = re_estimated(student, feed(run), given.batches)
    models["soup"] = re_estimated(soup(students), feed(runs[0]), given.batches)
    measured = kdcli.evaluate(models, kdcli.build("source", given.eval_data), "plain", size=(height, width))
    delta1 = {name: result.metrics["delta1"] for name, result in measured.items()}
    before, after = ([delta1[f"{how} {run.name}"] for run in runs] for how in ("as-learned", "re-estimated"))
    told = {"as-learned": before, "re-estimated": after, "gain": gain(before, after), "soup": delta1["soup"],
            "eval_data": given.eval_data, "batches": given.batches}
    sys.stdout.write(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
