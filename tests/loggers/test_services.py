"""What W&B and MLflow are called with; stand-ins have the signatures of the releases that the extras pin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import stand_ins

from kdcli.errors import ConfigError
from kdcli.loggers.mlflow import MlflowLogger
from kdcli.loggers.packages import flat
from kdcli.loggers.wandb import WandbLogger
from kdcli.records import RunRecord, StepRecord
from kdcli.testing import check_logger

CONFIG = {"student": "mobilenet", "eval_data": None, "stages": [{"name": "distill", "lr": 1e-3}],
          "twin": {"label": "t"}}


def begun(folder: Path, kept: dict[str, str], *, resumed: bool = False) -> RunRecord:
    return RunRecord(name="plain/seed0", group="grid", folder=folder, config=CONFIG, facts={}, steps={"student": 40},
                     resumed=resumed, kept=kept)


def step(number: int, variant: str = "student", *, repeated: bool = False) -> StepRecord:
    return StepRecord(variant=variant, stage="distill", step=number, total=20, global_step=20 + number, loss=0.5,
                      terms={"log-l1,x=1:y": 0.25}, further={"lr": float("inf")}, repeated=repeated)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> stand_ins.Calls:
    made: stand_ins.Calls = []
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setitem(sys.modules, "wandb", stand_ins.wandb(made))
    for name, module in stand_ins.mlflow(made).items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


def of(calls: stand_ins.Calls, name: str) -> list[dict[str, Any]]:
    return [given for call, given in calls if call == name]


@pytest.mark.parametrize("make", [WandbLogger, MlflowLogger])
def test_both_conform(make: Any, calls: stand_ins.Calls) -> None:
    assert "goes on" in check_logger(make).passed


def test_wandb_has_an_axis_for_each_variant_and_no_step_of_its_own(calls: stand_ins.Calls, tmp_path: Path) -> None:
    before = sys.exit, sys.excepthook
    logger, kept = WandbLogger(project="depth"), dict[str, str]()
    logger.begin(begun(tmp_path, kept))
    assert (sys.exit, sys.excepthook) == before
    logger.step(step(1))
    logger.step(step(2))
    logger.step(step(1, "twin"))
    logger.results("eval", {"student": {"delta1": 0.9}})
    logger.end("interrupted", "")
    begin = of(calls, "init")[0]
    assert (begin["project"], begin["group"], begin["name"]) == ("depth", "grid", "plain/seed0")
    assert begin["id"] is None and begin["resume"] is None and begin["dir"] == str(tmp_path) and kept == {"id": "id1"}
    axes = {given["name"]: given["step_metric"] for given in of(calls, "define_metric") if given["step_metric"]}
    assert axes == {"student/*": "student/step", "twin/*": "twin/step"}
    expected = {"student/step": 22, "student/distill/loss": 0.5, "student/distill/term/log-l1,x=1:y": 0.25}
    assert of(calls, "log")[1] == expected and "twin/step" in of(calls, "log")[2]
    assert {"eval/student/delta1": 0.9} in of(calls, "summary") and of(calls, "finish") == [{"exit_code": 130}]
    assert logger.where == "https://wandb.test/id1"


def test_wandb_goes_on_in_the_same_run_and_leaves_out_what_it_has(calls: stand_ins.Calls, tmp_path: Path) -> None:
    logger = WandbLogger(mode="offline")
    logger.begin(begun(tmp_path, {"id": "old"}, resumed=True))
    logger.step(step(1, repeated=True))
    logger.step(step(2))
    begin = of(calls, "init")[0]
    assert (begin["id"], begin["resume"], begin["mode"]) == ("old", "allow", "offline")
    assert [given["student/step"] for given in of(calls, "log")] == [22]
    assert logger.where == f"wandb sync {tmp_path}/wandb/run-old"


def test_wandb_without_an_account_is_refused_before_a_run(
    calls: stand_ins.Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", stand_ins.wandb(calls, account=False))
    with pytest.raises(ConfigError, match=r"no account to write to; run: wandb login, or write wandb,mode=offline"):
        WandbLogger()
    WandbLogger(mode="offline")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    WandbLogger()


def test_mlflow_makes_experiment_run_and_parameters(calls: stand_ins.Calls, tmp_path: Path) -> None:
    logger, kept = MlflowLogger(uri="http://host:5000"), dict[str, str]()
    logger.begin(begun(tmp_path, kept))
    logger.step(step(1))
    logger.results("eval", {"teacher 2": {"delta1": 0.9}})
    logger.end("failed", "not a number")
    assert of(calls, "client") == [{"uri": "http://host:5000"}] and kept == {"id": "abc"}
    assert of(calls, "create_run")[0]["name"] == "grid/plain/seed0"
    batches = of(calls, "log_batch")
    assert batches[0]["params"] == {
        "student": "mobilenet", "distill.name": "distill", "distill.lr": "0.001", "twin.label": "t",
    }
    assert batches[1]["metrics"] == [
        ("student/distill/loss", 0.5, 21), ("student/distill/term/log-l1_x_1_y", 0.25, 21),
    ]
    assert batches[2]["metrics"] == [("eval/teacher 2/delta1", 0.9, 40)]
    assert batches[3]["tags"] == {"kdcli.error": "not a number"}
    assert of(calls, "set_terminated") == [{"status": "FAILED"}]


def test_mlflow_goes_on_in_the_same_run(calls: stand_ins.Calls, tmp_path: Path) -> None:
    logger = MlflowLogger()
    logger.begin(begun(tmp_path, {"id": "abc"}, resumed=True))
    logger.step(step(1, repeated=True))
    logger.step(step(2))
    assert of(calls, "update_run") == [{"id": "abc", "status": "RUNNING"}] and not of(calls, "create_run")
    assert [m[2] for given in of(calls, "log_batch") for m in given["metrics"]] == [22, 22]


@pytest.mark.parametrize(("make", "package"), [(WandbLogger, "wandb"), (MlflowLogger, "mlflow.tracking")])
def test_a_package_that_is_not_there_is_one_line(
    make: Any, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    extra = package.partition(".")[0]
    with pytest.raises(ConfigError, match=rf"needs the package {extra}.*run: pip install 'kdcli\[{extra}\]'"):
        make()


def test_nested_values_are_flat_texts() -> None:
    assert flat({"a": {"b": 1, "c": None}, "d": "x" * 9}, most=3) == {"a.b": "1", "d": "xxx"}
