from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bench_files import foreign_file

from kdcli.benching import Report, bench
from kdcli.benching.accuracy import Accuracy
from kdcli.benching.plot import front_of
from kdcli.benching.table import remarks, table, title
from kdcli.errors import ConfigError, KdcliError, PluginError, WeightsError
from kdcli.exporters import export
from kdcli.plugins import registry
from kdcli.students.files import save_student

SPEC = "mobilenet,width=0.35"
SIZE = (32, 48)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student's file, its ONNX file of one size, and an ONNX file of somebody else."""
    folder = tmp_path_factory.mktemp("bench")
    torch.manual_seed(0)
    network = registry.build("student", SPEC).eval()
    save_student(folder / "small.safetensors", network, network.architecture, {})
    export(network, None, folder / "small.onnx", size=SIZE, verify=False)
    foreign_file(folder / "other.onnx")
    return folder


@pytest.fixture(scope="module")
def report(place: Path) -> Report:
    student = str(place / "small.safetensors")
    told = Accuracy(model=student, delta1=0.8, low=0.7, high=0.9, abs_rel=0.1, protocol="plain", hash="e7fc",
                    data="sim:rooms", images=3, size=(64, 96), against=None)
    return bench(
        [student, str(place / "small.onnx")], against=[place / "other.onnx"],
        formats=[("onnx", "fp32"), ("onnx", "int8"), ("pt2", "fp16")], rounds=2, warmup=0, threads=1,
        evaluations=[told], memory=False,
    )


def named(report: Report, place: Path) -> list[tuple[str, str, str]]:
    return [(Path(row.name).name, row.runtime.split()[0], row.precision) for row in report.rows]


def test_models_formats_files_and_files_of_others_are_rows(report: Report, place: Path) -> None:
    networks = [("PyTorch", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8")]
    assert named(report, place) == [
        *(("small.safetensors", *one) for one in networks), ("small.onnx", "onnxruntime", "fp32"),
        ("other.onnx", "onnxruntime", ""),
    ]
    assert {row.size for row in report.rows} == {SIZE}  # which the one file fixes
    assert (report.rounds, report.asked, report.threads, report.batch) == (2, 2, 1, 1)


def test_what_cannot_be_written_is_told_and_costs_itself_alone(report: Report) -> None:
    assert [one.name.rpartition(" as ")[2] for one in report.failed] == ["pt2:fp16"]
    assert all("pt2" in one.reason and isinstance(one.error, ConfigError) for one in report.failed)


def test_a_files_cost_is_that_of_its_network(report: Report, place: Path) -> None:
    network = registry.build("student", SPEC).eval()
    count = sum(one.numel() for one in network.parameters())
    ours = report.rows[:-1]
    assert {row.parameters for row in ours} == {count}
    assert len({row.multiply_adds for row in ours}) == 1 and ours[0].multiply_adds
    assert (report.rows[-1].parameters, report.rows[-1].multiply_adds) == (108, 32 * 48 * 4 * 27)
    sizes = {Path(row.name).name: row.bytes for row in report.rows if row.precision != "int8" and row.bytes}
    assert sizes["small.onnx"] == (place / "small.onnx").stat().st_size
    assert sizes["other.onnx"] == (place / "other.onnx").stat().st_size


def test_accuracy_is_of_the_model_and_of_its_files_in_float32(report: Report) -> None:
    told = {(row.runtime.split()[0], row.precision): row.accuracy for row in report.rows[:4]}
    assert [told[key] is not None for key in told] == [True, True, False]  # the file in eight bits is another network
    assert all(row.accuracy is None for row in report.rows[4:])
    assert any("at another size" in note and "64x96" in note for note in report.notes)


def test_ratios_are_to_the_first(report: Report) -> None:
    assert report.by_processor
    first = report.rows[0]
    assert first.processor_ratio is not None and first.processor_ratio.median == 1
    for row in report.rows:
        assert row.wall.low <= row.wall.median <= row.wall.high
        assert report.ratio(row) == row.processor_ratio
    document = report.document()
    assert [row["size"] for row in document["models"]] == [list(SIZE)] * len(report.rows)
    assert document["interrupted"] is False and len(document["failed"]) == 1


def test_the_table_has_what_is_known(report: Report) -> None:
    columns, rows = table(report)
    assert columns == ["model", "runs in", "latency, ms", "processor, ms", "processor time / first", "file, MB",
                       "parameters", "multiply-adds", "delta1"]
    assert len(rows) == len(report.rows) and all(len(row) == len(columns) for row in rows)
    assert rows[0][4] == "1" and rows[2][1].endswith(", int8") and rows[0][-1] == "0.800 [0.700, 0.900]"
    assert title(report).startswith("32x48, 1 thread, 2 rounds in turn, ")
    assert "delta1: plain (e7fc) on sim:rooms, 3 images" in remarks(report)


def test_the_front_is_what_nothing_beats_twice(report: Report) -> None:
    known = [row for row in report.rows if row.accuracy is not None]
    assert front_of(known) == [(1000 * min(row.wall.median for row in known), 0.8)]


def test_files_of_other_sizes_are_measured_at_their_own_or_refused(place: Path) -> None:
    export(registry.build("student", SPEC).eval(), None, place / "large.onnx", size=(64, 64), verify=False)
    both = [str(place / "small.onnx"), str(place / "large.onnx")]
    found = bench(both, rounds=1, warmup=0, memory=False)
    assert [row.size for row in found.rows] == [SIZE, (64, 64)]
    assert "different work" in " ".join(remarks(found)) and "size" in table(found)[0]
    with pytest.raises(ConfigError, match=r"large\.onnx' takes images of 64x64 alone, not of 32x48; give --size 64x64"):
        bench(both, size=SIZE, rounds=1, warmup=0, memory=False)


def test_a_batch_is_measured_whole(place: Path) -> None:
    found = bench([str(place / "small.onnx"), f"student:{SPEC}"], batch=2, rounds=1, warmup=0, memory=False)
    assert found.batch == 2 and "2 images at a time" in title(found)
    assert len({row.multiply_adds for row in found.rows}) == 1  # of one image all the same


REFUSED: dict[str, tuple[dict[str, object], type[KdcliError], str]] = {
    "no network": ({"models": ["constant"]}, ConfigError, "there is nothing to measure"),
    "without metadata": ({"models": ["{}/other.onnx"]}, WeightsError, "give it with --against"),
    "no file": ({"models": ["{}/none.onnx"]}, WeightsError, "check the path"),
    "no ONNX file": ({"models": [f"student:{SPEC}"], "against": ["{}/small.safetensors"]}, ConfigError, "no ONNX file"),
    "no such file": ({"models": [f"student:{SPEC}"], "against": ["{}/none.onnx"]}, WeightsError, "no ONNX file at"),
    "no student": ({"models": ["student:mobilenot"]}, PluginError, "mobilenot"),
    "nothing to write": ({"models": ["{}/small.onnx"], "formats": [("onnx", "fp32")]}, ConfigError, "only files here"),
    "a batch": ({"models": ["{}/one.onnx"], "batch": 3}, ConfigError, "takes 1 image at a time, not 3"),
    "too small": ({"models": [f"student:{SPEC}"], "against": ["{}/deep.onnx"], "size": (4, 4)}, ConfigError,
                  "deep.onnx' does not take 1 image of 4x4"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_one_line(place: Path, case: str) -> None:
    from onnx import helper

    foreign_file(place / "deep.onnx", nodes=[helper.make_node("Conv", ["x", "w"], ["y"])], weights={"w": (1, 3, 9, 9)})
    foreign_file(place / "one.onnx", shape=(1, 3, "h", "w"))
    given, kind, words = REFUSED[case]
    options = dict(given)
    models = [str(one).format(place) for one in options.pop("models")]  # type: ignore[attr-defined]
    if case == "a batch":
        options["against"], models = [models[0]], [f"student:{SPEC}"]
    options["against"] = [Path(str(one).format(place)) for one in options.get("against", ())]  # type: ignore[attr-defined]
    with pytest.raises(kind) as refused:
        bench(models, rounds=1, warmup=0, memory=False, **options)  # type: ignore[arg-type]
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_threads_are_put_back(place: Path) -> None:
    before = torch.get_num_threads()
    found = bench([str(place / "small.onnx")], threads=2, rounds=1, warmup=0, memory=False)
    assert (found.threads, torch.get_num_threads()) == (2, before)
    assert not found.by_processor  # the time of all threads is no latency
