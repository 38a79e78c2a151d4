"""``kdcli bench`` from the command line's side."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from kdcli.benching import clock
from kdcli.cli import bench
from kdcli.errors import ConfigError, DataError, KdcliError, PluginError, SpecError

SPEC = "student:mobilenet,width=0.35"
WIDE = "student:mobilenet,width=0.5"
QUICK = ("--size", "32x48", "--runs", "2", "--warmup", "0", "--no-memory", "--device", "cpu")


def call(*arguments: str) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    bench.register(app)
    return CliRunner().invoke(app, ["bench", *arguments, *QUICK])


def evaluation(path: Path, *models: str) -> str:
    """Write what ``kdcli eval --json`` prints of models, each better than the last."""
    path.write_text(json.dumps([
        {"model": model, "protocol": {"name": "plain", "hash": "e7fc"}, "spec": "sim:rooms", "size": [32, 48], "n": 3,
         "metrics": {"delta1": 0.7 + 0.1 * i, "abs_rel": 0.1}, "ci95": {"delta1": [0.6 + 0.1 * i, 0.75 + 0.1 * i]}}
        for i, model in enumerate(models)
    ]))
    return str(path)


def test_one_document_and_nothing_else() -> None:
    done = call(SPEC, WIDE, "--json", "--threads", "1")
    assert done.exit_code == 0, done.exception
    told = json.loads(done.stdout)
    assert [row["name"] for row in told["models"]] == [SPEC, WIDE]
    assert (told["rounds"], told["threads"], told["interrupted"], told["failed"]) == (2, 1, False, [])
    narrow, wide = told["models"]
    assert narrow["multiply_adds"] < wide["multiply_adds"] and narrow["parameters"] < wide["parameters"]
    assert narrow["processor_ratio"]["median"] == 1 and narrow["peak_memory"] is None


def test_a_table_and_a_picture(tmp_path: Path) -> None:
    file = evaluation(tmp_path / "eval.json", SPEC, WIDE)
    for ending, begins in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        picture = tmp_path / f"front{ending}"
        done = call(SPEC, WIDE, "--eval", file, "--plot", str(picture))
        assert done.exit_code == 0, done.exception
        title, head, first, second = done.stdout.splitlines()
        assert title.startswith("32x48, ") and head.split()[0] == "model" and head.split()[-1] == "delta1"
        assert first.startswith(SPEC) and first.endswith("0.700 [0.600, 0.750]")
        assert second.startswith(WIDE) and second.endswith("0.800 [0.700, 0.850]")
        assert "delta1: plain (e7fc) on sim:rooms, 3 images" in done.stderr
        assert picture.read_bytes().startswith(begins)


def test_an_interruption_tells_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    count, real = [0], clock._once

    def once(one: clock.Timed) -> tuple[float, float]:
        count[0] += 1
        if count[0] == 4:  # in the second of two models, in the second round
            raise KeyboardInterrupt
        return real(one)

    monkeypatch.setattr(clock, "_once", once)
    done = call(SPEC, WIDE)
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == "kdcli: interrupted"
    assert "32x48, " in done.stdout and "interrupted: 1 of 2 rounds" in done.stdout
    assert SPEC in done.stdout
    count[0] = 0
    assert json.loads(call(SPEC, WIDE, "--json").stdout)["interrupted"] is True


def test_what_cannot_be_written_ends_with_its_error_after_the_rest_was_told() -> None:
    done = call(SPEC, "--formats", "onnx,pt2:fp16")
    assert isinstance(done.exception, ConfigError) and "pt2" in str(done.exception)
    assert [line.split()[1] for line in done.stdout.splitlines()[2:]] == ["PyTorch", "onnxruntime"]


REFUSED: dict[str, tuple[tuple[str, ...], type[KdcliError], str]] = {
    "twice": ((SPEC, SPEC), ConfigError, "named twice"),
    "a format": ((SPEC, "--formats", "onx"), PluginError, "onnx"),
    "a precision": ((SPEC, "--formats", "onnx:fp8"), ConfigError, "no precision 'fp8'"),
    "a format twice": ((SPEC, "--formats", "onnx, onnx:fp32"), ConfigError, "twice"),
    "threads": ((SPEC, "--threads", "100000"), ConfigError, "--threads 100000 is more than"),
    "a batch": ((SPEC, "--batch", "100000000"), ConfigError, "use fewer"),
    "no evaluation": ((SPEC, "--eval", "{}/none.json"), DataError, "none.json"),
    "others' evaluation": ((SPEC, "--eval", "{}/eval.json"), ConfigError, "none of which is measured here"),
    "no accuracy": ((SPEC, "--plot", "{}/a.png"), ConfigError, "no accuracy to draw"),
    "no picture": ((SPEC, "--plot", "{}/a.pdf"), ConfigError, "end it in .png or .svg"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_come_before_any_work(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: Any) -> None:
        raise AssertionError("something was opened")

    monkeypatch.setattr("kdcli.benching.job.opened", opened)
    evaluation(tmp_path / "eval.json", "runs/other")
    arguments, kind, words = REFUSED[case]
    done = call(*(one.format(tmp_path) for one in arguments))
    assert isinstance(done.exception, kind), done.output
    assert words in str(done.exception) and "\n" not in str(done.exception)
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["eval.json"]


def test_a_size_that_is_none_and_no_rounds() -> None:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    bench.register(app)
    assert isinstance(CliRunner().invoke(app, ["bench", SPEC, "--size", "big"]).exception, SpecError)
    assert CliRunner().invoke(app, ["bench", SPEC, "--runs", "0"]).exit_code == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process and lets it begin anew")
def test_memory_is_that_of_the_model() -> None:
    from kdcli.benching.alone import memory_of
    from kdcli.benching.subject import Source

    peaks = {
        text: memory_of(Source(text=text), "cpu", size=(192, 256), batch=4, threads=1) or 0
        for text in ("student:mobilenet,width=0.35", "student:timm:resnet50d")
    }
    small, large = peaks.values()
    assert 2**20 < small < 400 * 2**20
    assert large > small + 4 * 23_000_000  # its parameters alone
    assert memory_of(Source(text="student:mobilenot"), "cpu", size=(32, 48), batch=1, threads=1) is None
