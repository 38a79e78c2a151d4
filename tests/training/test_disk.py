"""A full disk: refused before a run with figures, and in the middle of one nothing is lost and nothing half written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError

from kdcli.config import RunConfig
from kdcli.errors import ConfigError, TrainingError
from kdcli.training.loop import checkpoint
from kdcli.training.run import disk
from kdcli.training.run.ending import disk_full, disk_told
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable

Resolve = Callable[..., RunConfig]


def room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(disk, "shutil", SimpleNamespace(disk_usage=lambda path: SimpleNamespace(free=free)))


def fill_up(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Let the disk be full in the middle of the checkpoint that is written at this place in their order."""
    written, whole = [0], Path.write_bytes

    def write(self: Path, content: bytes) -> int:
        if self.name.startswith(".state."):
            written[0] += 1
            if written[0] == at:
                whole(self, memoryview(content)[: len(content) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(self, content)

    monkeypatch.setattr(Path, "write_bytes", write)


def test_a_run_that_does_not_fit_is_refused_with_figures(
    tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room(monkeypatch, 20_000_000)
    with pytest.raises(ConfigError, match=(
        r"^the run takes up to [\d.]+ MB more on the disk of '.*run' \(checkpoints [\d.]+ MB, students [\d.]+ MB, logs "
        r"and pictures [\d.]+ MB\), where 20 MB are free; make room, name another --out, or give --no-disk-check$"
    )):
        distill(tiny(), out=tmp_path / "run", loggers=())
    assert not (tmp_path / "run").exists()


def test_in_the_middle_the_last_checkpoint_is_kept(
    tiny: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patched:
        fill_up(patched, at=2)
        room(patched, 0)
        with pytest.raises(TrainingError, match=(
            r"^the disk of '.*run' is full \([\d.e+]+ MB free\); the last checkpoint is kept: make room, and go on "
            r"with: kdcli distill --resume .*run$"
        )):
            distill(tiny("eval_data=none"), out=run.path, loggers=(), disk_check=False)
    assert not list(run.path.rglob(".*"))
    assert checkpoint.read(run.state)["step"] == 2
    assert (run.manifest()["state"], run.manifest()["exit_code"]) == ("failed", 1)
    with monkeypatch.context() as patched:
        room(patched, 25_000_000)  # less than a new run needs: what is there of this one counts
        distill(resumable(run.path), resume=run.path, loggers=())
    assert run.manifest()["state"] == "finished" and [row["step"] for row in run.metrics()] == [1, 2, 3, 4, 5, 6]


def test_before_there_is_a_checkpoint_it_says_so(tmp_path: Path) -> None:
    full = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    for file, words in ((None, "nothing was trained yet: make room, and begin anew"),
                        ("metrics.jsonl", "no checkpoint of the stage under way was written yet: make room")):
        if file is not None:
            (tmp_path / file).touch()
        with pytest.raises(TrainingError, match=words), disk_told(tmp_path, tmp_path / "state.pt"):
            raise full
    with pytest.raises(FileNotFoundError), disk_told(tmp_path, tmp_path / "state.pt"):
        raise FileNotFoundError(errno.ENOENT, "another trouble")


def test_what_is_expected_is_what_is_written(tiny: Resolve, tmp_path: Path) -> None:
    from kdcli.training.run.preflight import preflight
    from kdcli.training.run.workshop import Workshop

    for settings in ((), ("ema=0", "optimizer=sgd")):
        config = tiny("eval_data=none", "keep_checkpoints=3", "export=onnx", *settings)
        shop = Workshop(config=config, device=torch.device("cpu"))
        student, _ = shop.student()
        expected = disk.disk_of(shop, student, preflight(shop, student), tmp_path)
        stage = config.main
        task = shop.task(stage, student, None)
        task.build(shop.first(stage))
        from kdcli.training.loop.optim import Averaged, optimizer_of

        optimizer = optimizer_of(stage, task.trained_parameters())
        task(shop.first(stage), 0, 1).loss.backward()
        optimizer.step()
        average = Averaged(student, stage.ema) if stage.ema else None
        path = tmp_path / "state.pt"
        checkpoint.save(path, variant="student", stage="train", step=1, task=task, optimizer=optimizer, average=average)
        size = path.stat().st_size
        assert 0.85 * size < expected.checkpoints / 4 < 1.05 * size, settings
        assert expected.students == pytest.approx(sum(v.nbytes for v in student.state_dict().values()))
        assert expected.export > expected.students and expected.cache == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_what_libraries_say_of_a_full_disk_is_understood() -> None:
    with pytest.raises(OSError, match="No space") as of_files:
        Path("/dev/full").write_bytes(b"0" * 8192)
    assert disk_full(of_files.value)
    of_tensors = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert disk_full(of_tensors) and not disk_full(ValueError("No such file"))
