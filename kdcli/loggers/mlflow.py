"""``mlflow``: an MLflow server, or a database of one's own."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from kdcli.loggers.packages import flat, needed
from kdcli.records import RunRecord, StepRecord

MOST_PARAMS = 100
"""That MLflow takes at once."""
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}
"""Where the user has not said otherwise: by itself MLflow asks a server that is not there for four minutes."""
_STATES = {"finished": "FINISHED", "interrupted": "KILLED"}


class MlflowLogger:
    """One MLflow run for a run with its twin. uri: of the server or store; MLflow's own setting where it is not given.

    Metrics are ``VARIANT/STAGE/NAME`` over the updates of the variant; the resolved recipe is the run's parameters. A
    run that goes on goes on in the same MLflow run.
    """

    api_version = 2
    exempt: ClassVar = {"keeps to its folder": "where a store and its pictures lie is a setting of MLflow's"}

    def __init__(self, uri: str | None = None, experiment: str = "kdcli") -> None:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        # With its address on standard output, where results belong.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        self._tracking = needed("mlflow.tracking", "mlflow")
        self._entities = needed("mlflow.entities", "mlflow")
        self._uri, self._experiment = uri, experiment
        self._client: Any = None
        self._id = ""
        self._last = 0
        self.where = ""

    def begin(self, run: RunRecord) -> None:
        """Begin an MLflow run, or go on with that of ``run.kept``."""
        self._client = self._tracking.MlflowClient(tracking_uri=self._uri)
        self._last = max(run.steps.values(), default=0)
        if known := run.kept.get("id"):
            self._id = known
            self._client.update_run(known, status="RUNNING")
        else:
            found = self._client.get_experiment_by_name(self._experiment)
            place = self._client.create_experiment(self._experiment) if found is None else found.experiment_id
            name = run.name if run.group is None else f"{run.group}/{run.name}"
            tags = {"kdcli.folder": str(run.folder), **({"kdcli.study": run.group} if run.group else {})}
            self._id = run.kept["id"] = str(self._client.create_run(place, run_name=name, tags=tags).info.run_id)
            params = [self._entities.Param(key, value) for key, value in _params(run.config).items()]
            for begin in range(0, len(params), MOST_PARAMS):
                self._client.log_batch(self._id, params=params[begin : begin + MOST_PARAMS])
        self.where = f"run {self._id} of experiment '{self._experiment}'"

    def step(self, step: StepRecord) -> None:
        """Log a step in one request; one that MLflow has already is left out."""
        if not step.repeated:
            values = {f"{step.variant}/{step.stage}/{name}": value for name, value in step.numbers().items()}
            self._log(values, step.global_step)

    def results(self, what: str, numbers: Mapping[str, Mapping[str, float]]) -> None:
        """Log metrics behind the last step."""
        named = {f"{what}/{model}/{name}": value for model, rows in numbers.items() for name, value in rows.items()}
        self._log(named, self._last)

    def picture(self, name: str, path: Path) -> None:
        """Store a picture among the run's artifacts."""
        self._client.log_artifact(self._id, str(path))

    def end(self, state: str, message: str) -> None:
        """Close the MLflow run."""
        if message:
            self._client.log_batch(self._id, tags=[self._entities.RunTag("kdcli.error", message)])
        self._client.set_terminated(self._id, _STATES.get(state, "FAILED"))

    def _log(self, values: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(_name(name), value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)


def _params(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the recipe's values by dotted name: those of a stage begin with its name."""
    stages = {stage["name"]: stage for stage in config.get("stages", ())}
    rest = {key: value for key, value in config.items() if key not in ("stages", "twin")}
    twin = {"twin": config["twin"]} if config.get("twin") else {}
    return {_name(key): value for key, value in flat({**rest, **stages, **twin}).items()}


def _name(name: str) -> str:
    """Return a name of letters that MLflow takes."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-. /") else "_" for letter in name)
