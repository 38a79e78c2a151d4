"""``wandb``: Weights & Biases, online or offline."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from kdcli.errors import ConfigError
from kdcli.loggers.packages import needed
from kdcli.records import RunRecord, StepRecord


class WandbLogger:
    """One W&B run for a run with its twin; a study's runs are a group.

    Curves are ``VARIANT/STAGE/NAME`` over the updates of the variant. A run that goes on goes on in the same W&B run.
    What W&B watches by itself (the terminal, the code, the machine's load) is left out.
    """

    api_version = 2

    def __init__(
        self, project: str = "kdcli", entity: str | None = None, group: str | None = None,
        mode: Literal["online", "offline"] | None = None,
    ) -> None:
        self._wandb = needed("wandb", "wandb")
        self._project, self._entity, self._group = project, entity, group
        self._mode = mode
        self._run: Any = None
        self._axes: set[str] = set()
        self.where = ""
        if (mode or os.environ.get("WANDB_MODE", "online")) == "online" and not self._known():
            raise ConfigError(
                "logger 'wandb' has no account to write to; run: wandb login, or write wandb,mode=offline"
            )

    def _known(self) -> bool:
        """Whether there is an API key, without asking for one and without the network."""
        return bool(self._wandb.login(prompt=False, verify=False))

    def begin(self, run: RunRecord) -> None:
        """Begin a W&B run, or go on with that of ``run.kept``."""
        before = sys.exit, sys.excepthook
        try:
            self._run = self._wandb.init(
                project=self._project, entity=self._entity, group=self._group or run.group, name=run.name,
                id=run.kept.get("id"), resume="allow" if "id" in run.kept else None, mode=self._mode,
                dir=str(run.folder), config={**run.config, "versions": run.facts.get("versions")},
                reinit="create_new",
                settings=self._wandb.Settings(
                    console="off", silent=True, disable_git=True, disable_code=True, save_code=False,
                    x_disable_stats=True,
                ),
            )
        finally:
            sys.exit, sys.excepthook = before  # wandb's own stay in their place when its run is over
        run.kept["id"] = str(self._run.id)
        offline = getattr(self._run, "offline", False)
        self.where = f"wandb sync {Path(self._run.dir).parent}" if offline else str(self._run.url)

    def step(self, step: StepRecord) -> None:
        """Log a step; one that W&B has already is left out."""
        if step.repeated:
            return
        axis = f"{step.variant}/step"
        if axis not in self._axes:
            # A step of W&B's own may not go back, as it does where the twin begins.
            self._axes.add(axis)
            self._run.define_metric(axis, hidden=True)
            self._run.define_metric(f"{step.variant}/*", step_metric=axis)
        values = {f"{step.variant}/{step.stage}/{name}": value for name, value in step.numbers().items()}
        self._run.log({axis: step.global_step, **values})

    def results(self, what: str, numbers: Mapping[str, Mapping[str, float]]) -> None:
        """Put metrics into the run's summary, by which W&B's tables compare runs."""
        self._run.summary.update(
            {f"{what}/{model}/{name}": value for model, metrics in numbers.items() for name, value in metrics.items()}
        )

    def picture(self, name: str, path: Path) -> None:
        """Log a picture."""
        self._run.log({name: self._wandb.Image(str(path))})

    def end(self, state: str, message: str) -> None:
        """Upload what is left and close; W&B shows any code but 0 as failed."""
        self._run.summary.update({"state": state, **({"error": message} if message else {})})
        self._run.finish(exit_code={"finished": 0, "interrupted": 130}.get(state, 1))
