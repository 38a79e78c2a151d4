"""Stand-ins for wandb 0.31.0 and mlflow 3.17.2: the signatures of what loggers call, and a record of the calls."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

Calls = list[tuple[str, dict[str, Any]]]


def wandb(calls: Calls, *, account: bool = True) -> ModuleType:
    """Return a module that does nothing but note; the ids that it gives are ``id1``, ``id2`` ..."""
    module: Any = ModuleType("wandb")
    known = {"console", "silent", "disable_git", "disable_code", "save_code", "x_disable_stats"}

    def settings(**given: Any) -> dict[str, Any]:
        assert given.keys() <= known
        return given

    def login(key: Any = None, relogin: Any = None, host: Any = None, force: Any = None, timeout: Any = None,
              verify: bool = True, referrer: Any = None, prompt: bool = True) -> bool:
        assert not prompt and not verify, "it would ask, or want the network"
        return account

    def init(entity: Any = None, project: Any = None, dir: Any = None, id: Any = None, name: Any = None,
             notes: Any = None, tags: Any = None, config: Any = None, config_exclude_keys: Any = None,
             config_include_keys: Any = None, allow_val_change: Any = None, group: Any = None, job_type: Any = None,
             mode: Any = None, force: Any = None, reinit: Any = None, resume: Any = None, resume_from: Any = None,
             fork_from: Any = None, save_code: Any = None, settings: Any = None) -> Any:
        count = sum(name == "init" for name, _ in calls) + 1
        calls.append(("init", {"project": project, "group": group, "name": name, "id": id, "resume": resume,
                               "mode": mode, "dir": dir, "config": config, "reinit": reinit}))
        sys.exit, sys.excepthook = lambda code=None: None, lambda *error: None  # as the real one does
        return Run(calls, id or f"id{count}", dir, mode)

    module.Settings, module.login, module.init = settings, login, init
    module.Image = lambda path: f"image of {Path(path).name}"
    return module  # type: ignore[no-any-return]


class Run:
    def __init__(self, calls: Calls, id: str, folder: str, mode: str | None) -> None:
        self._calls, self.id, self.offline = calls, id, mode == "offline"
        self.dir, self.url = f"{folder}/wandb/run-{id}/files", f"https://wandb.test/{id}"
        self.summary = self

    def define_metric(self, name: str, step_metric: str | None = None, step_sync: bool | None = None,
                      hidden: bool | None = None, summary: str | None = None, overwrite: bool | None = None) -> None:
        self._calls.append(("define_metric", {"name": name, "step_metric": step_metric}))

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        self._calls.append(("log", data))

    def update(self, values: dict[str, Any]) -> None:
        self._calls.append(("summary", values))

    def finish(self, exit_code: int | None = None) -> None:
        self._calls.append(("finish", {"exit_code": exit_code}))


def mlflow(calls: Calls) -> dict[str, ModuleType]:
    """Return the modules that the logger imports."""
    package, tracking, entities = (ModuleType(name) for name in ("mlflow", "mlflow.tracking", "mlflow.entities"))

    class MlflowClient:
        def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
            calls.append(("client", {"uri": tracking_uri}))

        def get_experiment_by_name(self, name: str) -> Any:
            made = any(call == "create_experiment" for call, _ in calls)
            return SimpleNamespace(experiment_id="7") if made else None

        def create_experiment(self, name: str, artifact_location: Any = None, tags: Any = None) -> str:
            calls.append(("create_experiment", {"name": name}))
            return "7"

        def create_run(self, experiment_id: str, start_time: Any = None, tags: Any = None, run_name: Any = None) -> Any:
            calls.append(("create_run", {"experiment": experiment_id, "name": run_name, "tags": tags}))
            return SimpleNamespace(info=SimpleNamespace(run_id="abc"))

        def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = (),
                      synchronous: Any = None) -> None:
            assert run_id == "abc" and len(params) <= 100 and len(metrics) <= 1000
            calls.append(("log_batch", {"metrics": list(metrics), "params": dict(params), "tags": dict(tags)}))

        def log_artifact(self, run_id: str, local_path: str, artifact_path: Any = None) -> None:
            calls.append(("log_artifact", {"path": local_path}))

        def set_terminated(self, run_id: str, status: Any = None, end_time: Any = None) -> None:
            assert status in ("FINISHED", "KILLED", "FAILED")
            calls.append(("set_terminated", {"status": status}))

        def update_run(self, run_id: str, status: Any = None, name: Any = None) -> None:
            calls.append(("update_run", {"id": run_id, "status": status}))

    def metric(key: str, value: float, timestamp: int, step: int) -> tuple[str, float, int]:
        assert isinstance(timestamp, int) and all(c.isascii() and (c.isalnum() or c in "_-. /") for c in key)
        return key, value, step

    both: Any = (tracking, entities)
    both[0].MlflowClient, both[1].Metric = MlflowClient, metric
    both[1].Param = both[1].RunTag = lambda key, value: (key, value)
    return {"mlflow": package, "mlflow.tracking": tracking, "mlflow.entities": entities}
