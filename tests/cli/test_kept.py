"""Every command, interrupted once in this process: one line says what is kept, the next that it was interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from kdcli.cli import interrupt, kept, ui
from kdcli.cli.app import app
from kdcli.plugins import registry
from kdcli.students.files import save_student

Stop = Callable[..., Any]
DATA, SIZE = "folder:photos", "32x48"


def stop(*given: Any, **options: Any) -> Any:
    raise KeyboardInterrupt


def leaves(group: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """Yield every command of the command line with its name."""
    for name in group.list_commands(None):
        one = group.get_command(None, name)
        if hasattr(one, "list_commands"):
            yield from leaves(one, *names, name)
        else:
            yield " ".join((*names, name)), one


ALL = dict(leaves(typer.main.get_command(app)))


@pytest.mark.parametrize("name", ALL)
def test_before_anything_was_begun(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ui, "_run", stop)
    common = {"device": "auto", "seed": None, "json": False, "quiet": False, "debug": False}
    with pytest.raises(typer.Exit) as ended:
        ALL[name].callback(**common)
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err.splitlines() == [kept.NOTHING, "kdcli: interrupted"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photographs, a student, and somebody else's checkpoint, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("photos").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{number}.png")
    spec = "mobilenet,width=0.35"
    save_student(Path("student.safetensors"), registry.build("student", spec), spec, {"size": [32, 48]})
    return tmp_path


def _after(count: int, function: Stop) -> Stop:
    """Return the function, which is interrupted after so many calls."""
    done: list[Any] = []

    def counted(*given: Any, **options: Any) -> Any:
        if len(done) == count:
            raise KeyboardInterrupt
        done.append(None)
        return function(*given, **options)

    return counted


class _Bars:
    """Progress that is interrupted where it has been told of so much."""

    def __init__(self, much: int) -> None:
        self._much = much

    def add_task(self, *given: Any, **options: Any) -> int:
        return 0

    def update(self, task: int, *, completed: int | None = None, **options: Any) -> None:
        if completed is not None and completed >= self._much:
            raise KeyboardInterrupt

    advance = refresh = stop = add_task


def _written(path: str) -> Stop:
    def write(*given: Any, **options: Any) -> Any:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("half")
        raise KeyboardInterrupt

    return write


def _told(*given: Any, **options: Any) -> Any:
    error = KeyboardInterrupt()
    error.add_note("said")
    raise error


HALF = {
    "predict": (["teacher:demo", "photos", "--out", "depth", "--size", SIZE], {"kdcli.predict.run:look": 2},
                f"pictures whole in depth: 2; {kept.ANEW}"),
    "eval": (["constant", "--data", "sim:blocks,count=2", "--csv", "a.csv", "--report", "b.html"],
             {"kdcli.report.evaluation:write_sets": stop}, f"a.csv was written whole, b.html not; {kept.ANEW}"),
    "calibrate": (["student.safetensors", "--data", "sim:blocks,count=4", "--size", SIZE], 2, kept.NOTHING),
    "export": (["teacher:demo", "--out", "demo.onnx"], {"kdcli.exporters.writing:export": _written("demo.onnx")},
               "demo.onnx was written whole"),
    "weights convert": (["student.safetensors", "--out", "other.safetensors"], {"kdcli.weights.convert:save": stop},
                        kept.NOTHING),
    "data check": ([DATA], 1, kept.NOTHING),
    "data show": ([DATA, "--out", "sheet.png"], {"kdcli.images:write_image": stop}, kept.NOTHING),
    "data split": ([DATA, "--out", "train.txt", "test.txt", "--by", "random", "--share", "0.4"],
                   {"kdcli.sources.dividing.written:write_text": 1}, kept.NOTHING),
    "data convert": (["sim:blocks,count=3", "--out", "tree", "--to", "folder", "--workers", "0"],
                     {"kdcli.convert.units:encode": 2},
                     f"what was done is kept in tree; {kept.GOES_ON}"),
    "mix": (["--data", "sim:blocks", "--mixer", "none", "--count", "3", "--out", "set", "--size", SIZE], 1,
            f"what was done is kept in set; {kept.GOES_ON}"),
    "cache": (["--teacher", "demo", "--data", DATA, "--out", "maps", "--batch-size", "1"], 2,
              f"what was done is kept in maps; {kept.GOES_ON}"),
    "fit-transform": (["--teacher", "demo", "--data", DATA, "--out", "fit.safetensors", "--size", SIZE],
                      {"kdcli.training.single.fit_transform:fit_stage": _written("fit.fit.pt")},
                      f"what was done is kept in fit.fit.pt; {kept.GOES_ON}"),
    "demo": (["teacher:demo", "--no-open"], {"kdcli.demo:Server.serve_forever": stop},
             "the page is closed; nothing was written"),
    "bench": (["constant"], {"kdcli.benching.job:bench": stop}, kept.NOTHING),
    "study": (["data-free-mini"], {"kdcli.study.run:run_study": _written("studies/data-free-mini/study.toml")},
              f"what was done is kept in studies/data-free-mini; {kept.GOES_ON}"),
    "distill": (["--resume", "run"], {"kdcli.training.run.job:distill": stop,
                                      "kdcli.training.run.job:resumable": lambda path: None},
                f"'run' is as it was; {kept.GOES_ON}"),
    "explain": (["student.safetensors", "photos/0.png", "--out", "f.png"], {"kdcli.report.readings:draw": stop},
                kept.NOTHING),
    "recipes copy": (["plain"], {"kdcli.files:write_text": _written("plain.toml")}, "plain.toml was written whole"),
    "plugins new": (["loss", "mine"], {"kdcli.scaffold:new_package": stop}, kept.NOTHING),
    "runs compare": (["one", "two", "--report", "r.html"], {"kdcli.training.run.compare:compare_runs": stop},
                     kept.NOTHING),
    "runs watch": (["photos"], {"kdcli.watching:RunLook": lambda folder: None, "kdcli.cli.watch:_follow": stop},
                   "the watching ended, and nothing else"),
}  # fmt: skip
"""What is given, where it is interrupted (how much is done, or functions in place of others, or after so many calls of
them), and what is said."""
READ = {"weights list", "weights where", "recipes list", "recipes show", "runs list", "runs show", "plugins list",
        "plugins info", "plugins check", "doctor"}  # fmt: skip
"""Commands that write nothing that one asked for."""
ELSEWHERE = {"weights pull", "push", "pull", "card"}
"""Below, and in ``tests/sharing``, where there are a finished run and a hub."""


def test_none_is_forgotten() -> None:
    assert sorted(ALL) == sorted({*HALF, *READ, *ELSEWHERE})


@contextmanager
def interrupted(where: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        if isinstance(where, int):
            bars = _Bars(where)

            @contextmanager
            def progress(session: Any, **options: Any) -> Iterator[Any]:
                yield bars

            patch.setattr(ui.Session, "progress", progress)
        for name, how in where.items() if isinstance(where, Mapping) else ():
            module, _, attribute = name.partition(":")
            *inside, last = attribute.split(".")
            owner = resolve_name(f"{module}:{'.'.join(inside)}")
            patch.setattr(owner, last, _after(how, getattr(owner, last)) if isinstance(how, int) else how)
        yield


@pytest.mark.parametrize("name", HALF)
def test_in_the_middle(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words, where, said = HALF[name]
    with interrupted(where, monkeypatch):
        told = CliRunner().invoke(app, [*name.split(), *words])
    assert told.exit_code == 130, (told.output, told.exception)
    assert told.stderr.splitlines()[-2:] == [said, "kdcli: interrupted"]
    assert not list(place.rglob("*.kdcli-*"))


def test_a_download_is_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdcli.weights.table import entries

    pull = resolve_name("kdcli.weights.pull:")

    known = next(one for one in entries().values() if one.address and one.member is None)

    def fetch(wanted: Any, address: str, part: Path, **options: Any) -> None:
        part.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr("kdcli.weights.fetch.fetch", fetch)
    monkeypatch.setattr(pull, "forbidden_by", lambda: None)
    told = CliRunner().invoke(app, ["weights", "pull", known.name, "--to", "here"])
    said = f"what was done is kept in here/{known.file}.part; {kept.GOES_ON}"
    assert told.exit_code == 130 and told.stderr.splitlines()[-2:] == [said, "kdcli: interrupted"]


def test_what_the_run_has_said_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdcli.training.run.job.distill", _told)
    monkeypatch.setattr("kdcli.training.run.job.resumable", lambda path: None)
    told = CliRunner().invoke(app, ["distill", "--resume", "run"])
    assert told.stderr.splitlines() == ["kdcli: interrupted"]


def test_quiet_says_that_alone(place: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdcli.images.write_image", stop)
        told = CliRunner().invoke(app, ["data", "show", DATA, "--out", "sheet.png", "-q"])
    assert told.exit_code == 130 and told.stderr == "kdcli: interrupted\n"


def test_an_error_that_a_library_makes_of_it_is_an_interruption(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdcli.errors import DataError

    def odd(*given: Any) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException:
            raise DataError("a file is damaged") from None

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    monkeypatch.setattr(interrupt, "over", lambda code: signal.setitimer(signal.ITIMER_REAL, 0))
    monkeypatch.setattr("kdcli.images.write_image", odd)
    signal.signal(signal.SIGTERM, interrupt._asked)
    try:
        told = CliRunner().invoke(app, ["data", "show", DATA, "--out", "sheet.png"])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert told.exit_code == 130 and told.stderr.splitlines() == [kept.NOTHING, "kdcli: interrupted"]
