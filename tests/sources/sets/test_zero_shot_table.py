"""The five sets of the zero-shot table in one command, on made trees."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import typer
from trees_marigold import marigold
from typer.testing import CliRunner, Result

from kdcli.choosing.measuring import usual_protocol
from kdcli.cli import evaluate
from kdcli.evals.protocol import PROTOCOLS
from kdcli.sources import load_source

FIVE = ("nyu", "kitti", "eth3d", "scannet", "diode")


def call(*arguments: str) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    evaluate.register(app)
    return CliRunner().invoke(app, ["eval", *arguments])


def test_five_sets_are_one_command_and_one_table(tmp_path: Path) -> None:
    marigold(tmp_path / "data", sets=FIVE)
    data = f"marigold:{tmp_path}/data,set=all"
    arguments = ("constant", "teacher:ground-truth", "--data", data, "--protocol", "plain")
    result = call(*arguments, "--csv", str(tmp_path / "rows.csv"), "--report", str(tmp_path / "page.html"))
    assert result.exit_code == 0, result.exception
    columns, first, second = (re.split(r"\s{2,}", line) for line in result.stdout.splitlines()[:3])
    assert columns == ["model", *(f"{name} {what}" for name in FIVE for what in ("AbsRel", "d1")), "mean rank"]
    assert second == ["teacher:ground-truth", *["0.000*", "1.000*"] * 5, "1.0"] and first[-1] == "2.0"
    with (tmp_path / "rows.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["data"].rpartition("set=")[2] for row in rows} == set(FIVE)
    told = json.loads(call(*arguments, "--json").stdout)
    assert [one["set"] for one in told if one["model"] == "constant"] == list(FIVE)
    assert "nyu AbsRel" in (tmp_path / "page.html").read_text()


def test_each_set_is_measured_as_marigold_measures_it(tmp_path: Path) -> None:
    """Without a word on protocols: the sets' own, on pictures of the sizes that their boxes are for."""
    marigold(tmp_path / "data", sets=FIVE, at_size=True)
    data = f"marigold:{tmp_path}/data,set=all"
    result = call("constant", "teacher:ground-truth", "--data", data, "--json")
    assert result.exit_code == 0, result.exception
    told = json.loads(result.stdout)
    assert [one["protocol"]["name"] for one in told] == [f"marigold-{name}" for name in FIVE for _ in range(2)]
    for one in told:
        assert (one["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)) == (one["model"] != "constant"), one["set"]
    named = call("constant", "--data", data, "--protocol", "marigold", "--json")
    assert [one["protocol"] for one in json.loads(named.stdout)] == [one["protocol"] for one in told[::2]]
    table = call("constant", "teacher:ground-truth", "--data", data).stdout.splitlines()
    assert re.split(r"\s{2,}", table[2]) == ["teacher:ground-truth", *["0.000*", "1.000*"] * 5, "1.0"]


def test_each_set_of_the_lists_names_its_protocol(tmp_path: Path) -> None:
    marigold(tmp_path / "data", sets=(*FIVE, "hypersim"))
    told = {name: usual_protocol(load_source(f"marigold:{tmp_path}/data,set={name}")) for name in (*FIVE, "hypersim")}
    assert told == {**{name: f"marigold-{name}" for name in FIVE}, "hypersim": "plain"}
    assert set(told.values()) <= set(PROTOCOLS)
