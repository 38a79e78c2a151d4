"""The notebook runs from its first cell to its last, in their order, and is stored without outputs."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest

import kdcli

BOOK = Path(__file__).resolve().parents[2] / "examples" / "notebooks" / "student.ipynb"
CELLS = json.loads(BOOK.read_text(encoding="utf-8"))["cells"]
SHORT = {"steps": 2, "batch_size": 2, "size": (64, 96), "workers": 0, "eval_data": "sim:rooms,count=2,seed=1000"}


def test_it_is_a_notebook_without_outputs() -> None:
    book = json.loads(BOOK.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5) and book["metadata"]["kernelspec"]["name"] == "python3"
    names = [cell["id"] for cell in CELLS]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[\w-]{1,64}", name) for name in names)
    assert CELLS[0]["cell_type"] == "markdown" and CELLS[0]["source"][0].startswith("# ")
    for cell in CELLS:
        assert cell.keys() >= {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
        for link in re.findall(r"\]\(([^)#:]+)\)", "".join(cell["source"])) if cell["cell_type"] == "markdown" else ():
            assert (BOOK.parent / link).is_file(), link


@pytest.mark.slow
def test_its_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kdcli, "configure", _shortened(kdcli.configure))
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in CELLS:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"cell {cell['id']}", "exec"), names)
    assert len(pyplot.gcf().axes) == 3 * 4
    pyplot.close("all")
    told = capsys.readouterr().out
    assert re.search(r"^student minus twin [+-]0\.\d{3} \[", told, flags=re.MULTILINE)
    assert float(re.findall(r"farthest from PyTorch by ([\d.e+-]+) of the largest", told)[0]) < 1e-3
    assert (tmp_path / "runs" / "notebook.onnx").is_file()


def _shortened(configure: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(configure)
    def wrapper(**given: Any) -> Any:
        return configure(**{**given, **SHORT}, set=["fit.steps=1", "export=none"])

    return wrapper
