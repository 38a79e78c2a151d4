"""A conversion that was stopped goes on to the same bytes; nothing half-written stands under a name of its own."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conversions import content, scene, written

from kdcli.convert import units
from kdcli.drafts import is_draft
from kdcli.errors import ConfigError, DataError
from kdcli.files import sha256_of

LAYOUTS = ["shards", "folder", "moge"]


@pytest.fixture(autouse=True)
def _small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "FEW", 2)


def stop(number: int, how: type[BaseException] | int) -> None:
    """Make the n-th item that is encoded from now on the last one."""
    whole, seen = units.encode, [0]

    def encode(*given: object, **named: object) -> object:
        seen[0] += 1
        if seen[0] > number:
            if isinstance(how, int):
                os.kill(os.getpid(), how)
            raise how  # type: ignore[misc]
        return whole(*given, **named)  # type: ignore[arg-type]

    units.encode = encode  # type: ignore[assignment]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_interrupted_one_goes_on(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, whole, part = scene(tmp_path / "in"), tmp_path / "whole", tmp_path / "part"
    written(data, whole, layout, shard_size=2)
    with monkeypatch.context() as patched:
        patched.setattr(units, "encode", units.encode)
        stop(3, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            written(data, part, layout, shard_size=2)
    assert not any(is_draft(path.name) for path in part.rglob("*"))
    assert json.loads((part / "manifest.json").read_text())["complete"] is False
    report = written(data, part, layout, shard_size=2)
    assert (report.made, report.kept) == (4, 2)
    assert without_place(part) == without_place(whole)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_killed_one_leaves_whole_files_and_goes_on(layout: str, tmp_path: Path) -> None:
    data, whole, part = scene(tmp_path / "in"), tmp_path / "whole", tmp_path / "part"
    written(data, whole, layout, shard_size=2)

    def work() -> None:
        torch.set_num_threads(1)
        stop(3, signal.SIGKILL)
        written(data, part, layout, shard_size=2)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    there = {name: text for name, text in content(part).items() if not any(map(is_draft, Path(name).parts))}
    expected = content(whole)
    for name, text in there.items():
        assert name in ("manifest.json", "conversion.jsonl", ".kdcli.lock") or text == expected[name], name
    with (part / "conversion.jsonl").open("a") as stream:
        stream.write('{"part": 0, "begin": 2, "end')  # as a process leaves it that is killed in the middle of a line
    written(data, part, layout, shard_size=2)
    assert without_place(part) == without_place(whole)


def without_place(folder: Path) -> dict[str, bytes]:
    """Return the files of a conversion; its manifest without the folder's own name."""
    found = content(folder)
    return found | {"manifest.json": found["manifest.json"].replace(str(folder).encode(), b"")}


def test_processes_write_the_same_bytes(tmp_path: Path) -> None:
    data, one, two = scene(tmp_path / "in"), tmp_path / "one", tmp_path / "two"
    written(data, one, "shards", shard_size=2)
    written(data, two, "shards", shard_size=2, workers=2)
    assert without_place(one) == without_place(two)
    for shard in json.loads((two / "manifest.json").read_text())["shards"]:
        assert sha256_of(two / shard["file"]) == shard["sha256"]


def test_an_error_in_a_process_names_the_file(tmp_path: Path) -> None:
    data, out = scene(tmp_path / "in"), tmp_path / "out"
    broken = sorted((tmp_path / "in").rglob("depth/0001.png"))[0]
    broken.write_bytes(broken.read_bytes()[:80])
    with pytest.raises(DataError, match=str(broken)):
        written(data, out, "folder", workers=2)
    report = written(data, tmp_path / "other", "folder", workers=2, skip_broken=True)
    assert (report.images, report.left_out) == (5, 1)
    told = json.loads((tmp_path / "other" / "manifest.json").read_text())["left_out"]["first"]
    assert told[0]["name"] == "hall_2/0001" and str(broken) in told[0]["why"]


def test_a_limit_may_grow_but_not_shrink(tmp_path: Path) -> None:
    data, out = scene(tmp_path / "in"), tmp_path / "out"
    assert written(data, out, "folder", limit=3).made == 3
    report = written(data, out, "folder")
    assert (report.images, report.made, report.kept) == (6, 4, 2)  # the last unit was not full
    assert written(data, out, "folder").made == 0
    with pytest.raises(ConfigError, match="begun with 6 images"):
        written(data, out, "folder", limit=2)


def test_what_is_gone_is_made_again(tmp_path: Path) -> None:
    data, out = scene(tmp_path / "in"), tmp_path / "out"
    written(data, out, "folder")
    before = content(out)
    (out / "depth" / "kitchen" / "0001.png").unlink()
    assert written(data, out, "folder").made == 2
    assert content(out) == before


def test_nothing_is_written_over_something_else(tmp_path: Path) -> None:
    data, out = scene(tmp_path / "in"), tmp_path / "out"
    with pytest.raises(ConfigError, match="holds something that is no conversion"):
        written(data, tmp_path / "in", "folder")
    written(data, out, "folder")
    before = content(out)
    with pytest.raises(ConfigError, match=r"made with size=None, not \[24, 32\]"):
        written(data, out, "folder", size=(24, 32))
    with pytest.raises(ConfigError, match="made with layout=folder, not tum"):
        written(data, out, "tum")
    (tmp_path / "in" / "kitchen" / "rgb" / "0000.png").rename(tmp_path / "in" / "kitchen" / "rgb" / "0009.png")
    (tmp_path / "in" / "kitchen" / "depth" / "0000.png").rename(tmp_path / "in" / "kitchen" / "depth" / "0009.png")
    with pytest.raises(ConfigError, match="has other images now"):
        written(data, out, "folder")
    assert content(out) == before


@pytest.mark.parametrize("workers", [0, 2])
def test_a_full_disk_is_one_line(workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    data = scene(tmp_path / "in")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(ConfigError, match=r"No space left on device '.*the same command goes on where it stopped"):
            written(data, tmp_path / "out", "folder", workers=workers)
    assert written(data, tmp_path / "out", "folder").made == 6


def test_an_interrupted_command_ends_its_processes_and_tidies_up(tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group, as in a terminal."""
    out, code = tmp_path / "out", "import sys; from kdcli.__main__ import main; main()"
    words = ("data", "convert", "sim:interiors,count=400", "--out", str(out), "--size", "96x128", "--workers", "2",
             "--shard-size", "400", "--max-depth", "20")
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not any(path.name.startswith(".train-") for path in drafts(out)):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130 and said.strip().endswith("interrupted")
    assert json.loads((out / "manifest.json").read_text())["complete"] is False
    assert drafts(out) == []


def drafts(out: Path) -> list[Path]:
    return [path for path in out.glob(".*") if is_draft(path.name)]
