from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kdcli.benching.accuracy import accuracy_of, differing, own_evaluation, read_evaluations
from kdcli.errors import ConfigError, DataError


def row(model: str, *, delta1: float | None = 0.8, **changes: Any) -> dict[str, Any]:
    """Return what ``kdcli eval --json`` prints of a model, as far as it is read."""
    return {
        "model": model, "protocol": {"name": "plain", "hash": "e7fc"}, "spec": "sim:rooms", "size": [64, 96], "n": 3,
        "metrics": {"delta1": delta1, "abs_rel": 0.1}, "ci95": {"delta1": [0.7, 0.9], "abs_rel": [None, None]},
        **changes,
    }


def written(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def test_every_form_of_an_evaluation_is_read(tmp_path: Path) -> None:
    forms: dict[str, object] = {
        "one": row("a"), "several": [row("a"), row("b")], "fidelity": {"fidelity": row("a")},
        "fidelities": {"fidelity": [row("a", against="teacher:demo")]}, "run": {"student": row("a"), "twin": row("b")},
    }
    found = {name: read_evaluations([written(tmp_path / name, document)]) for name, document in forms.items()}
    assert {name: [one.model for one in told] for name, told in found.items()} == {
        "one": ["a"], "several": ["a", "b"], "fidelity": ["a"], "fidelities": ["a"], "run": ["a", "b"],
    }
    (one,) = found["one"]
    assert (one.delta1, one.low, one.high, one.abs_rel, one.size) == (0.8, 0.7, 0.9, 0.1, (64, 96))
    assert found["fidelities"][0].against == "teacher:demo"
    assert one.document()["protocol"] == {"name": "plain", "hash": "e7fc"}


def test_what_was_not_measured_has_no_accuracy(tmp_path: Path) -> None:
    assert read_evaluations([written(tmp_path / "empty", row("a", delta1=None))]) == []


@pytest.mark.parametrize("document", [{"a": 1}, [], {"fidelity": {}}, [{**row("a"), "metrics": 3}], 5], ids=str)
def test_other_files_are_refused(tmp_path: Path, document: object) -> None:
    path = written(tmp_path / "file.json", document)
    if document == []:
        assert read_evaluations([path]) == []
        return
    with pytest.raises(DataError, match="kdcli eval") as refused:
        read_evaluations([path])
    assert str(path) in str(refused.value)


def test_a_run_has_its_own(tmp_path: Path) -> None:
    written(tmp_path / "run" / "eval" / "results.json", {"teacher": row("teacher"), "student": row("student")})
    for name in (f"{tmp_path}/run", f"run:{tmp_path}/run"):
        own = own_evaluation(name)
        assert own is not None and own.model == "student"
    assert own_evaluation(f"{tmp_path}/other") is None
    assert own_evaluation("teacher:demo") is None


def test_what_is_given_wins_over_a_runs_own(tmp_path: Path) -> None:
    told = read_evaluations([written(tmp_path / "e", [row("r", delta1=0.5), row("teacher:onnx:x.onnx,kind=metric")])])
    own = read_evaluations([written(tmp_path / "o", row("student"))])[0]
    assert accuracy_of(["r"], told, own) == told[0]
    assert accuracy_of(["other"], told, own) == own
    assert accuracy_of(["x.onnx"], told, None) == told[1]
    assert accuracy_of(["other"], told, None) is None
    with pytest.raises(ConfigError, match="2 evaluations of 'r'"):
        accuracy_of(["r"], [told[0], told[0]], None)


def test_different_ways_of_measuring_are_told(tmp_path: Path) -> None:
    rows = [row("a"), row("b"), row("c", spec="nyu:/data/nyu")]
    same, also, other = read_evaluations([written(tmp_path / "e", rows)])
    assert differing([same, also]) is None
    told = differing([same, also, other])
    assert told is not None and "sim:rooms" in told and "nyu:/data/nyu" in told
