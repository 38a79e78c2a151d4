"""Event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kdcli.records import RunRecord, StepRecord
from kdcli.testing import check_logger

pytest.importorskip("tensorboard", reason="tensorboard is not installed; pip install 'kdcli[tensorboard]'")

from kdcli.loggers.tensorboard import TensorBoardLogger

STEPS = {"student": 6, "twin": 6}


def begun(folder: Path, *, resumed: bool = False) -> RunRecord:
    config = {"student": "mobilenet", "stages": [{"name": "distill"}]}
    return RunRecord(name="run", folder=folder, config=config, steps=STEPS, resumed=resumed)


def step(number: int, loss: float, variant: str = "student") -> StepRecord:
    return StepRecord(variant=variant, stage="distill", step=number, total=6, global_step=number, loss=loss,
                      terms={"l1": 2 * loss}, further={"lr": 1e-3, "grad_norm": math.inf})


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), purge_orphaned_data=True)
    found.Reload()
    return found


def test_it_conforms() -> None:
    assert len(check_logger(TensorBoardLogger).passed) == 6


def test_curves_results_pictures_and_texts_are_read_back(tmp_path: Path) -> None:
    logger = TensorBoardLogger()
    logger.begin(begun(tmp_path))
    for number in (1, 4, 6):
        logger.step(step(number, 1 / number))
    logger.step(step(1, 0.5, "twin"))
    logger.results("eval", {"student": {"delta1": 0.9}, "teacher": {"delta1": 0.95}})
    Image.new("RGB", (8, 6)).save(tmp_path / "picture.png")
    logger.picture("picture", tmp_path / "picture.png")
    logger.end("finished", "")
    student = read(tmp_path / "tensorboard" / "student")
    assert sorted(student.Tags()["scalars"]) == ["distill/loss", "distill/lr", "distill/term/l1", "eval/delta1"]
    told = [(event.step, event.value) for event in student.Scalars("distill/loss")]
    assert [number for number, _ in told] == [1, 4, 6] and told[1][1] == pytest.approx(0.25)
    assert [(event.step, event.value) for event in student.Scalars("eval/delta1")] == [(6, pytest.approx(0.9))]
    picture = student.Images("picture")[0]
    assert (picture.width, picture.height) == (8, 6)
    assert picture.encoded_image_string == (tmp_path / "picture.png").read_bytes()
    texts = {tag: student.Tensors(tag)[0].tensor_proto.string_val[0] for tag in student.Tags()["tensors"]}
    assert b'"student": "mobilenet"' in texts["config"] and texts["state"].strip() == b"finished"
    assert student.SummaryMetadata("config").plugin_data.plugin_name == "text"
    assert [event.step for event in read(tmp_path / "tensorboard" / "twin").Scalars("distill/loss")] == [1]
    assert read(tmp_path / "tensorboard" / "teacher").Scalars("eval/delta1")[0].step == 6


def test_a_run_that_goes_on_replaces_what_lay_behind_its_checkpoint(tmp_path: Path) -> None:
    first = TensorBoardLogger()
    first.begin(begun(tmp_path))
    for number in (1, 2, 3, 4):
        first.step(step(number, 1.0))
    again = TensorBoardLogger()  # the first one was killed
    again.begin(begun(tmp_path, resumed=True))
    for number in (3, 4, 5):
        again.step(step(number, 2.0))
    again.end("finished", "")
    events = read(tmp_path / "tensorboard" / "student").Scalars("distill/loss")
    assert [(event.step, event.value) for event in events] == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]


def test_results_of_a_run_that_had_only_to_be_measured_leave_its_curves(tmp_path: Path) -> None:
    first = TensorBoardLogger()
    first.begin(begun(tmp_path))
    first.step(step(6, 1.0))
    again = TensorBoardLogger()
    again.begin(begun(tmp_path, resumed=True))
    again.results("eval", {"student": {"delta1": 0.9}})
    again.end("finished", "")
    student = read(tmp_path / "tensorboard" / "student")
    assert [event.step for event in student.Scalars("distill/loss")] == [6] and student.Scalars("eval/delta1")


def test_what_is_written_is_there_at_once(tmp_path: Path) -> None:
    logger = TensorBoardLogger(folder="curves")
    logger.begin(begun(tmp_path))
    logger.step(step(1, 1.0))
    assert len(read(tmp_path / "curves" / "student").Scalars("distill/loss")) == 1


def test_tensorflow_is_not_imported_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise RuntimeError('seconds, and lines of noise')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    logger = TensorBoardLogger()
    logger.begin(begun(tmp_path))
    logger.step(step(1, 1.0))
    logger.end("finished", "")
    assert "tensorflow" not in sys.modules
