"""What losses trained along with the student, kept as students' files: ``stages/LOSS.NAME.safetensors``."""

from __future__ import annotations

import re

from torch import nn

from kdcli.config import StageConfig
from kdcli.errors import ConfigError
from kdcli.students.files import save_student
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.made_for import made_for
from kdcli.training.run.provenance import inherited
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.networks import networks_of
from kdcli.training.step.task import DistillTask


def trained_along(task: DistillTask) -> dict[str, nn.Module]:
    """Return the networks of a stage's losses by the name of their file, once the losses have built their modules.

    Raises:
        PluginError: of something that is no student. ConfigError: two of the same file.
    """
    found: dict[str, nn.Module] = {}
    for part in task.losses:
        for name, network in networks_of(part.name, part.loss).items():
            file = f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', part.name).strip('-.')}.{name}"
            if file in found:
                raise ConfigError(
                    f"stage '{task.stage.name}' would keep two networks as '{file}'; tell the losses apart by as=NAME"
                )
            found[file] = network
    return found


def keep_along(shop: Workshop, run: RunFolder, stage: StageConfig, task: DistillTask) -> list[str]:
    """Write what the losses of a finished stage trained along; return the files, as seen from the run's folder.

    Weights are those of the last update, not averaged. A later stage in which a loss of the same name goes on writes
    its file anew.
    """
    known = run.manifest().get("networks", {})
    written = {}
    for file, network in trained_along(task).items():
        path, spec = run.stage(file), str(network.architecture)
        save_student(
            path, network, spec,
            {**inherited(shop, stage, network), "recipe": shop.config.recipe, "seed": shop.config.seed,
             "stage": stage.name, "size": list(stage.size), "training_data": stage.data},
            made_for=made_for(shop, stage, network),
        )
        written[str(path.relative_to(run.path))] = {"stage": stage.name, "student": spec}
    if written:
        run.update(networks={**known, **written})
    return list(written)
