"""What a run touches of its folder, and what it says of files of its own that are damaged."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from left_behind import draft_of_the_dead

from kdcli.config import RunConfig, dump
from kdcli.errors import ConfigError, DataError, KdcliError, WeightsError
from kdcli.files import write_text
from kdcli.locks import NAME, only_one
from kdcli.training.loop import checkpoint
from kdcli.training.loop.train import StepLog
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.listing import list_runs
from kdcli.training.run.progress import Silent

Resolve = Callable[..., RunConfig]

RACE = """
import sys
from pathlib import Path
from kdcli.config import load
from kdcli.errors import ConfigError
from kdcli.training.run.folder import RunFolder
folder = Path(sys.argv[1])
config = load("tiny", (folder / "tiny.toml").read_text())
won = 0
for i in range(40):
    try:
        RunFolder.create(folder / str(i), config, {"who": sys.argv[2]})
        won += 1
    except ConfigError as error:
        assert "already holds a run" in str(error), error
print(won)
"""

MINE = (".git/config", ".env", ".ipynb_checkpoints/a.txt", "notes.txt", "checkpoints/.mine.pt", "checkpoints/mine.pt",
        ".manifest.abcd1234.json", "eval/.mine.csv")  # fmt: skip


class Stop(Silent):
    """Stops a run at a step."""

    def step(self, log: StepLog) -> None:
        if log.step == 3:
            raise KeyboardInterrupt


@pytest.fixture
def begun(tiny: Resolve, tmp_path: Path) -> Path:
    """A run that was stopped after its first checkpoint."""
    with pytest.raises(KeyboardInterrupt):
        distill(tiny(), out=tmp_path / "run", progress=Stop())
    return tmp_path / "run"


def test_resume_leaves_alone_what_it_did_not_write(begun: Path) -> None:
    for name in MINE:
        write_text(begun / name, "precious")
    dead = [draft_of_the_dead(begun / name) for name in ("manifest.json", "checkpoints/state.pt")]
    for path in dead:
        path.touch()
    distill(resumable(begun), resume=begun)
    assert [(begun / name).read_text() for name in MINE] == ["precious"] * len(MINE)
    assert not any(path.exists() for path in dead) and not (begun / NAME).exists()
    assert not (begun / "checkpoints" / "state.pt").exists()
    assert RunFolder(begun).manifest()["state"] == "finished"


def test_a_run_that_comes_to_nothing_takes_nobody_elses_files_with_it(tiny: Resolve, tmp_path: Path) -> None:
    for mine in (False, True):
        run = RunFolder.create(tmp_path / "run", tiny(), {})
        if mine:
            (run.path / ".git").mkdir()
        with pytest.raises(ZeroDivisionError), run.locked(), run.ending(lambda message: None):
            raise ZeroDivisionError
        assert run.path.exists() is mine
    assert (run.path / ".git").is_dir() and run.manifest()["state"] == "failed"


def test_of_processes_that_make_the_same_run_one_succeeds(tiny: Resolve, tmp_path: Path) -> None:
    write_text(tmp_path / "tiny.toml", dump(tiny()))
    racing = [subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path), str(i)], stdout=subprocess.PIPE, text=True)
              for i in range(2)]  # fmt: skip
    assert sum(int(process.communicate(timeout=120)[0]) for process in racing) == 40
    assert len(list_runs(tmp_path)) == 40 and not list(tmp_path.glob(".*"))


def test_what_a_killed_creation_left_is_no_run_and_goes_with_the_next(tiny: Resolve, tmp_path: Path) -> None:
    draft = draft_of_the_dead(tmp_path / "before")
    RunFolder.create(tmp_path / "one", tiny(), {}).path.rename(draft)
    assert list_runs(tmp_path) == []
    RunFolder.create(tmp_path / "two", tiny(), {})
    assert not draft.exists()


def test_a_second_process_is_kept_out(begun: Path) -> None:
    with only_one(begun), pytest.raises(ConfigError, match="is working on"):
        distill(resumable(begun), resume=begun)
    assert RunFolder(begun).manifest()["state"] == "interrupted"


def _packed(path: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for member in whole.infolist():
            packed.writestr(member.filename, whole.read(member))
    return content.getvalue()


def _flipped(path: Path) -> bytes:
    """Return the archive with one bit of a tensor's numbers the other way round."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as whole:
        largest = max(whole.infolist(), key=lambda member: member.file_size)
    content[largest.header_offset + 100 + largest.file_size // 2] ^= 64
    return bytes(content)


@pytest.mark.parametrize("damage", ["flipped", "packed", "cut", "empty", "text", "stage", "shape", "types", "other"])
def test_a_damaged_checkpoint_is_told_before_it_is_gone_on_with(begun: Path, damage: str) -> None:
    path = begun / "checkpoints" / "state.pt"
    state = torch.load(path, weights_only=True)
    if damage == "stage":
        torch.save({**state, "stage": "another"}, path)
    elif damage == "shape":
        torch.save({**state, "student": {name: value.flatten() for name, value in state["student"].items()}}, path)
    elif damage == "types":
        torch.save({**state, "step": "two", "optimizer": [1]}, path)
    elif damage == "other":
        torch.save({**state, "average": None, "optimizer": {"state": {}, "param_groups": []}}, path)
    else:
        how: dict[str, Callable[[Path], bytes]] = {
            "flipped": _flipped, "packed": _packed, "cut": lambda p: p.read_bytes()[:-999], "empty": lambda p: b"",
            "text": lambda p: b"not a checkpoint",
        }  # fmt: skip
        path.write_bytes(how[damage](path))
    with pytest.raises(WeightsError, match=r"state\.pt' .*delete it"):
        distill(resumable(begun), resume=begun)
    path.unlink()
    distill(resumable(begun), resume=begun)
    assert RunFolder(begun).manifest()["state"] == "finished"


def test_the_checkpoint_itself_is_sound(begun: Path) -> None:
    assert checkpoint.read(begun / "checkpoints" / "state.pt")["step"] == 2


def _damages() -> list[tuple[str, bytes, str]]:
    good: dict[str, Any] = {"state": "interrupted", "recipe": "tiny"}
    told = {
        "empty": (b"", "no JSON|Expecting value"), "latin": ("{\"state\": \"\u00e4\"}".encode("latin-1"), "not UTF-8"),
        "nul": (b"\0" * 99, "NUL"), "deep": (b"[" * 100_000, "nested"), "list": (b"[]", "a list, not a table"),
        "state": (json.dumps({**good, "state": 3}).encode(), "state is a whole number, not a text"),
        "seconds": (json.dumps({**good, "seconds": "9"}).encode(), "seconds is a text, not a number"),
        "nan": (b'{"state": "x", "recipe": "y", "seconds": NaN}', "nan is no finite number"),
        "huge": (b'{"state": "x", "recipe": "y", "seed": 1' + b"0" * 400 + b"}", "more than 64 bits"),
        "teachers": (json.dumps({**good, "teachers": [{"name": 1}]}).encode(), r"teachers\[0\]\.spec is missing"),
        "eval": (json.dumps({**good, "eval": {"student": {"metrics": []}}}).encode(), "metrics is a list"),
    }
    return [(name, content, words) for name, (content, words) in told.items()]


@pytest.mark.parametrize(("name", "content", "words"), _damages(), ids=[name for name, _, _ in _damages()])
def test_a_damaged_manifest_is_named_and_hides_no_other_run(
    tiny: Resolve, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    for run in ("bad", "good"):
        RunFolder.create(tmp_path / run, tiny(), {"student": "mobilenet"})
    (tmp_path / "bad" / "manifest.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"bad/manifest\.json' .*({words})"):
        resumable(tmp_path / "bad")
    good, bad = list_runs(tmp_path)
    assert good["state"] == "killed" and good["student"] == "mobilenet"
    assert bad["state"] == "damaged" and "bad/manifest.json" in bad["error"]


@pytest.mark.parametrize(
    ("line", "words"),
    [("{", "line 2 of"), ('{"variant": "student"}', "stage is missing"), ("[]", "not a table"), ("\0", "line 2 of")],
)
def test_a_damaged_line_of_the_log_is_named(begun: Path, line: str, words: str) -> None:
    path = begun / "metrics.jsonl"
    lines = path.read_text().splitlines()
    write_text(path, "\n".join([lines[0], line, *lines[1:]]) + "\n")
    with pytest.raises(DataError, match=words):
        RunFolder(begun).metrics()
    write_text(path, "\n".join([*lines, line]))
    assert len(RunFolder(begun).metrics()) == len(lines)


def test_a_gradient_without_end_is_null(tiny: Resolve, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", tiny(), {})
    run.log_step(StepLog(variant="student", stage="train", step=1, total=2, loss=1.0, terms={"l1": 1.0}, notes={},
                         lr=0.1, grad_norm=float("inf"), images_per_second=3.0))  # fmt: skip
    assert run.metrics()[0]["grad_norm"] is None


@pytest.mark.parametrize("text", ["", "\ufeff", "[[[", "run = 3", "[run]\nseed = 'x'", "stage = 3", "a" * 2**21])
def test_a_damaged_recipe_of_a_run_is_named(begun: Path, text: str) -> None:
    (begun / "config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(KdcliError, match=r"run/config\.toml'") as caught:
        resumable(begun)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
