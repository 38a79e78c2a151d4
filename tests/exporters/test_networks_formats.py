"""Every network in every format is written and passes the gate, or the table in the documents says why not."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from export_formats import FORMATS, there

from kdcli.errors import KdcliError
from kdcli.exporters import export
from kdcli.exporters.endings import ENDINGS
from kdcli.exporters.gate.judge import DEPTH_BUDGET, TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads((ROOT / "docs" / "results" / "formats.json").read_text())["formats"]
BENCHMARK = runpy.run_path(str(ROOT / "benchmarks" / "formats.py"))
NETWORKS, untrained = BENCHMARK["NETWORKS"], BENCHMARK["untrained"]


def test_the_table_has_every_cell() -> None:
    wanted = {(network, form) for network in NETWORKS for form in FORMATS}
    assert set(FORMATS) == set(ENDINGS.values())
    assert wanted == {(row["network"], row["format"]) for row in TABLE if row["precision"] == "fp32"}
    for row in TABLE:
        assert row.get("relative", 0.0) <= TOLERANCE or row["precision"] == "fp16"
        assert row.get("abs_rel", 0.0) <= DEPTH_BUDGET["fp16"][0]


def cells() -> list[object]:
    """Return what the table has, one file a cell; all of them take an hour, so that few are drawn a day."""
    return [pytest.param(row, id=f"{row['network']}-{row['format']}-{row['precision']}",
                         marks=pytest.mark.slow(share=0.06)) for row in TABLE]


@pytest.mark.parametrize("row", cells())
def test_a_cell(row: dict[str, Any], tmp_path: Path) -> None:
    there(row["format"])
    model = untrained(row["network"])
    path = tmp_path / FORMATS[row["format"]][0]
    size = tuple(map(int, row["size"].split("x")))
    options: dict[str, Any] = {"size": size, "precision": row["precision"]}
    if "why" in row:
        with pytest.raises(KdcliError, match=row["precision"]):
            export(model, None, path, **options)
        assert not list(tmp_path.iterdir())
        return
    report = export(model, None, path, **options)
    assert report.drift and not any(one.flat for one in report.drift), "this proves nothing"
    assert report.bytes == pytest.approx(row["bytes"], rel=0.05)
