"""``kdcli eval`` from the command line's side."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from kdcli.cli import evaluate
from kdcli.errors import ConfigError, DataError, KdcliError, PluginError
from kdcli.evals.protocol import PROTOCOLS
from kdcli.images import write_depth_png, write_image
from kdcli.plugins import registry
from kdcli.students.files import save_student
from kdcli.testing import toy_batch
from kdcli.types import MadeFor

NAMES = {"abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "delta1", "delta2", "delta3"}
ROOMS = "sim:rooms,count=3,seed=7,size=24x32"


def call(*arguments: str) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    evaluate.register(app)
    return CliRunner().invoke(app, ["eval", *arguments])


def failure(*arguments: str) -> KdcliError:
    result = call(*arguments)
    assert isinstance(result.exception, KdcliError), result.output
    assert "\n" not in str(result.exception)
    assert result.stdout == ""
    return result.exception


def test_one_model_gives_one_document_and_nothing_else() -> None:
    result = call("constant", "--data", ROOMS, "--json")
    assert result.exit_code == 0, result.exception
    told = json.loads(result.stdout)
    assert set(told) >= {"model", "depth_kind", "protocol", "n", "skipped", "metrics", "ci95"}
    assert set(told["metrics"]) == set(told["ci95"]) == NAMES
    assert (told["model"], told["depth_kind"], told["n"], told["skipped"]) == ("constant", "metric", 3, [])
    sized = call("constant", "--data", ROOMS, "--size", "24x32", "--json")
    assert json.loads(sized.stdout)["size"] is None  # it is shown no image
    assert told["protocol"] == PROTOCOLS["plain"].document()
    assert told["spec"] == ROOMS


def test_several_models_give_a_list_with_paired_comparisons() -> None:
    told = json.loads(call("constant", "teacher:ground-truth", "--data", ROOMS, "--json").stdout)
    assert [row["model"] for row in told] == ["constant", "teacher:ground-truth"]
    assert told[1]["metrics"]["delta1"] == 1
    assert told[0]["paired"]["teacher:ground-truth"]["share_above_zero"]["abs_rel"] == 1


def test_the_table_names_what_a_reader_needs() -> None:
    text = call("constant", "teacher:ground-truth", "--data", ROOMS, "--align", "median").stdout
    for part in (*NAMES, "plain+median", "constant", "n=3", "share > 0", "["):
        assert part in text


def test_costs_stand_below_the_metrics(tmp_path: Path) -> None:
    student = registry.build("student", "mobilenet,width=0.5")
    file = tmp_path / "net.safetensors"
    save_student(file, student, "mobilenet,width=0.5", {})
    parameters = sum(parameter.numel() for parameter in student.parameters())
    told = json.loads(call(str(file), "--data", ROOMS, "--size", "64x96", "--json").stdout)
    assert told["parameters"] == parameters and told["multiply_adds_at"] == [64, 96] and told["multiply_adds"] > 10**6
    lines = call(str(file), "constant", "--data", ROOMS, "--size", "64x96").stdout.splitlines()
    cells = {line.split()[0]: re.split(r"\s{2,}", line) for line in lines if line}
    assert cells["parameters"][1:] == ["less", f"{parameters / 1e3:.0f} k", "-"]
    assert cells["multiply-adds"][2].endswith(" at 64x96") and cells["multiply-adds"][3] == "-"


def test_files_are_written(tmp_path: Path) -> None:
    rows, page = tmp_path / "rows.csv", tmp_path / "page.html"
    result = call("constant", "--data", ROOMS, "--csv", str(rows), "--report", str(page), "--quiet")
    assert result.exit_code == 0, result.exception
    assert len(rows.read_text().splitlines()) == 4
    assert page.read_text().startswith("<!doctype html>")
    assert result.stderr == ""


def test_the_same_command_gives_the_same_numbers() -> None:
    arguments = ("constant", "--data", ROOMS, "--json", "--seed", "3")
    assert call(*arguments).stdout == call(*arguments, "--batch-size", "1").stdout


def test_limit_makes_an_endless_source_finite() -> None:
    assert "endless" in str(failure("constant", "--data", "sim:rooms,size=24x32"))
    told = json.loads(call("constant", "--data", "sim:rooms,size=24x32", "--limit", "2", "--json").stdout)
    assert told["n"] == 2


@pytest.mark.parametrize(
    ("arguments", "kind", "part"),
    [
        (("constant", "--data", ROOMS, "--protocol", "nyu-eign"), ConfigError, "Did you mean 'nyu-eigen'"),
        (("constant", "--data", ROOMS, "--protocol", "nyu-eigen"), DataError, "480x640"),
        (("constant", "--data", ROOMS, "--align", "medain"), ConfigError, "Did you mean 'median'"),
        (("constant", "--data", ROOMS, "--size", "small"), ConfigError, "small"),
        (("constant", "constant", "--data", ROOMS), ConfigError, "named twice"),
        (("teacher:nonesuch", "--data", ROOMS), PluginError, "nonesuch"),
        (("constant", "--data", "folder:/no/such/folder"), DataError, "/no/such/folder"),
    ],
)
def test_mistakes_are_answered_in_one_line(arguments: tuple[str, ...], kind: type[KdcliError], part: str) -> None:
    error = failure(*arguments)
    assert isinstance(error, kind)
    assert part in str(error)


def test_usage_errors_are_usage_errors() -> None:
    assert call("constant").exit_code == 2
    assert call("--data", ROOMS).exit_code == 2
    assert call("constant", "--data", ROOMS, "--limit", "0").exit_code == 2


def test_against_a_teacher_all_is_fidelity(tmp_path: Path) -> None:
    page, table = tmp_path / "r.html", tmp_path / "r.csv"
    models = ("teacher:demo", "constant")
    arguments = (*models, "--against", "teacher:demo", "--data", "sim:noise,count=3,size=24x32")
    told = json.loads(call(*arguments, "--json", "--report", str(page), "--csv", str(table)).stdout)
    assert list(told) == ["fidelity"]
    same, constant = told["fidelity"]
    assert same["metrics"]["delta1"] == 1 and same["metrics"]["abs_rel"] < 1e-6 and same["n"] == 3
    assert same["against"] == "teacher:demo" and same["protocol"]["name"] == "fidelity"
    assert constant["metrics"]["abs_rel"] > 0.01 and constant["paired"]["teacher:demo"]["n"] == 3
    assert "Fidelity to teacher:demo (not accuracy)" in page.read_text()
    assert "fidelity_delta1" in table.read_text().splitlines()[0]
    shown = call(*arguments).stdout
    assert shown.startswith("fidelity to teacher:demo (not accuracy)\n") and "fidelity metric" in shown


def test_what_is_no_teacher_is_refused() -> None:
    data = ("--data", "sim:noise,count=2,size=24x32")
    told = failure("teacher:demo", "--against", "constant", *data)
    assert isinstance(told, ConfigError) and "is no teacher" in str(told)
    told = failure("teacher:demo", "--against", "teacher:demo", "--protocol", "plain", *data)
    assert isinstance(told, ConfigError) and "is for measured depth" in str(told)
    told = failure("teacher:demo", "--protocol", "fidelity", "--data", ROOMS)
    assert isinstance(told, ConfigError) and "--against teacher:SPEC" in str(told)


@pytest.mark.parametrize(("name", "told"), [("lst", "list"), ("nyu-egen", "nyu-eigen"), ("nyu-eigen+flop", "flip")])
def test_a_protocol_that_is_none_is_said_before_what_else_is_missing(name: str, told: str) -> None:
    result = call("--protocol", name)
    assert isinstance(result.exception, ConfigError) and f"Did you mean '{told}'?" in str(result.exception)


def test_every_protocol_is_listed_in_a_line_with_who_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    lines = call("--protocol", "list").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(PROTOCOLS)
    assert all(line.endswith(PROTOCOLS[line.split()[0]].used_by) for line in lines)
    assert "--protocol" in call("--help").stdout and "list" in call("--help").stdout
    for order in (("--protocol", "list", "--json"), ("--json", "--protocol", "list", "constant")):
        told = json.loads(call(*order).stdout)
        assert [(one["name"], one["hash"]) for one in told] == [(one.name, one.hash) for one in PROTOCOLS.values()]
        assert all(one["measures"] and one["used_by"] for one in told)


def test_nothing_heavy_is_imported_for_help() -> None:
    code = "import sys, kdcli.cli.evaluate, kdcli.evals; print({'torch', 'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_uncertainty_is_measured_where_a_model_tells_and_refused_where_none_does(tmp_path: Path) -> None:
    save_student(tmp_path / "s.safetensors", registry.build("student", "mobilenet,width=0.35,head=bins"), "", {})
    result = call(str(tmp_path / "s.safetensors"), "constant", "--data", ROOMS, "--uncertainty", "--json")
    told = json.loads(result.stdout)
    assert set(told[0]["uncertainty"]) == {"metrics", "ci95", "sparsification"} and "uncertainty" not in told[1]
    assert "ause_abs_rel_std" in call(str(tmp_path / "s.safetensors"), "--data", ROOMS, "--uncertainty").stdout
    error = failure("constant", "--data", ROOMS, "--uncertainty")
    assert isinstance(error, ConfigError) and str(error).startswith("'constant' gives no distribution over depth")


@pytest.mark.parametrize("how", [("--align", "scale-shift-log"), ("--protocol", "slowtv-tum")])
def test_uncertainty_wants_an_alignment_that_intervals_follow(how: tuple[str, str]) -> None:
    error = failure("teacher:demo", "--data", ROOMS, "--uncertainty", *how)
    assert isinstance(error, ConfigError) and "is no factor and offset of depth" in str(error)


def test_a_student_is_seen_at_the_size_of_its_training_and_that_is_said(tmp_path: Path) -> None:
    """Photographs of any size, by default as in training; the other choices by name."""
    path = str(tmp_path / "s.safetensors")
    made = MadeFor(train_size=(32, 48), eval_size=(32, 48))
    save_student(Path(path), registry.build("student", "mobilenet,width=0.35"), "", {}, made_for=made)
    for folder in ("rgb", "depth"):
        (tmp_path / folder).mkdir()
    for i in range(3):
        batch = toy_batch(batch=1, size=(120, 160 + 8 * (i % 2)), seed=i)
        assert batch.depth is not None
        write_image(tmp_path / "rgb" / f"{i}.png", batch.image[0])
        write_depth_png(tmp_path / "depth" / f"{i}.png", batch.depth[0, 0])
    data = ["--data", f"folder:{tmp_path}/rgb,depths={tmp_path}/depth", "--json"]
    told = {size: call(path, *data, *(["--size", size] if size else [])) for size in ("", "32x48", "native", "64x96")}
    assert [result.exit_code for result in told.values()] == [0] * 4, [result.exception for result in told.values()]
    found = {size: json.loads(result.stdout) for size, result in told.items()}
    assert found[""] == found["32x48"] and found[""]["size"] == [32, 48] and found[""]["n"] == 3
    assert found["native"]["size"] is None and found["native"]["metrics"] != found[""]["metrics"]
    assert "seen at 32x48, as it was trained; --size native" in told[""].stderr and told["32x48"].stderr == ""
    for size, seen in (("native", "120x1"), ("64x96", "64x96")):
        assert f"warning: '{path}' sees images at {seen}" in told[size].stderr
        assert "trained at 32x48" in told[size].stderr
    error = failure(path, *data, "--size", "own")
    assert isinstance(error, ConfigError) and "'own' is not HxW" in str(error)


def test_attacked_images_are_measured_of_networks_and_refused_of_others(tmp_path: Path) -> None:
    torch.manual_seed(0)
    paths = [str(tmp_path / f"{name}.safetensors") for name in ("one", "two")]
    for path in paths:
        save_student(Path(path), registry.build("student", "mobilenet,width=0.35,decoder=4"), "", {})
    result = call(*paths, "--data", ROOMS, "--perturb", "2/255", "--json")
    assert result.exit_code == 0, result.exception
    for row in json.loads(result.stdout):
        found = row["perturbed"]
        assert found["epsilon"] == 2 / 255 and (found["n"], found["not_finite"]) == (3, 0)
        assert found["pgd"]["metrics"]["log10"] >= row["metrics"]["log10"]
    table = call(*paths, "--data", ROOMS, "--perturb", "2/255").stdout
    assert "perturbed" in table and "two.safetensors pgd 0.00784" in table
    assert "perturbed" not in json.loads(call(paths[0], "--data", ROOMS, "--json").stdout)
    for model in ("constant", "teacher:ground-truth"):
        error = failure(paths[0], model, "--data", ROOMS, "--perturb", "2/255")
        assert isinstance(error, ConfigError) and f"model '{model}' gives no gradient" in str(error)
    assert "is no number above 0" in str(failure(paths[0], "--data", ROOMS, "--perturb", "2/"))


def test_several_sets_make_one_table_one_list_and_one_page(tmp_path: Path) -> None:
    rows, page = tmp_path / "rows.csv", tmp_path / "page.html"
    sets = ("--data", f"First={ROOMS}", "--data", "sim:blocks,count=2,seed=1,size=24x32")
    arguments = ("constant", "teacher:ground-truth", *sets)
    result = call(*arguments, "--json", "--csv", str(rows), "--report", str(page), "--protocol", "plain+max5")
    assert result.exit_code == 0, result.exception
    told = json.loads(result.stdout)
    assert [(one["set"], one["model"], one["n"]) for one in told] == [
        ("First", "constant", 3), ("First", "teacher:ground-truth", 3), ("sim", "constant", 2),
        ("sim", "teacher:ground-truth", 2),
    ]  # fmt: skip
    assert {one["protocol"]["name"] for one in told} == {"plain+max5"} and told[0]["spec"] == ROOMS
    assert set(told[0]["paired"]) == {"teacher:ground-truth"} and told[0]["by_distance"]
    with rows.open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert list(table[0])[:6] == ["model", "data", "protocol", "hash", "image", "pixels"] and len(table) == 10
    assert {row["data"] for row in table} == {ROOMS, "sim:blocks,count=2,seed=1,size=24x32"}
    assert "First AbsRel" in page.read_text()
    shown = call(*arguments).stdout.splitlines()
    assert re.split(r"\s{2,}", shown[0]) == ["model", "First AbsRel", "First d1", "sim AbsRel", "sim d1", "mean rank"]
    assert re.split(r"\s{2,}", shown[2]) == ["teacher:ground-truth", "0.000*", "1.000*", "0.000*", "1.000*", "1.0"]
    error = failure("constant", *sets, *("--protocol", "plain") * 3)
    assert isinstance(error, ConfigError) and "3 protocols for 2 sets" in str(error)
    error = failure("constant", "--data", ROOMS, "--data", "folder:/no/such/folder")
    assert isinstance(error, DataError) and "/no/such/folder" in str(error)


def test_predictions_of_each_set_lie_in_folders_of_their_names(tmp_path: Path) -> None:
    for name in ("A", "B"):
        for i in range(2):
            batch = toy_batch(batch=1, size=(24, 32), seed=i)
            assert batch.depth is not None
            for folder in ("rgb", "depth", "out"):
                (tmp_path / name / folder).mkdir(parents=True, exist_ok=True)
            write_image(tmp_path / name / "rgb" / f"{i}.png", batch.image[0])
            write_depth_png(tmp_path / name / "depth" / f"{i}.png", batch.depth[0, 0])
            write_depth_png(tmp_path / name / "out" / f"{i}.png", batch.depth[0, 0] * (2 if name == "B" else 1))
    data = [part for name in ("A", "B")
            for part in ("--data", f"{name}=folder:{tmp_path}/{name}/rgb,depths={tmp_path}/{name}/depth")]
    model = f"predictions:{tmp_path}/{{set}}/out,kind=metric"
    result = call(model, "constant", *data, "--json")
    assert result.exit_code == 0, result.exception
    told = {(one["set"], one["model"]): one for one in json.loads(result.stdout)}
    assert told["A", model]["metrics"]["abs_rel"] < 1e-6
    assert told["B", model]["metrics"]["abs_rel"] == pytest.approx(1, abs=1e-3)
    assert told["A", model]["parameters"] is None


def test_a_set_that_cannot_be_measured_costs_no_other_set(tmp_path: Path) -> None:
    write_image(tmp_path / "rgb" / "a.png", torch.rand(3, 24, 32))
    write_depth_png(tmp_path / "depth" / "a.png", torch.zeros(24, 32))
    empty, rows, page = f"folder:{tmp_path}/rgb,depths={tmp_path}/depth", tmp_path / "r.csv", tmp_path / "r.html"
    files = ("--csv", str(rows), "--report", str(page))
    result = call("constant", "--data", ROOMS, "--data", f"None={empty}", "--json", *files)
    assert isinstance(result.exception, DataError), result.output
    assert str(result.exception).startswith("set 'None' could not be measured: none of the 1 images of source")
    assert [one["set"] for one in json.loads(result.stdout)] == ["sim"] and "sim:rooms" in page.read_text()
    assert len(rows.read_text().splitlines()) == 4
    assert "None" not in call("constant", "--data", ROOMS, "--data", f"None={empty}").stdout
    twice = failure("constant", "--data", f"A={empty}", "--data", f"B={empty},max_depth=5")
    assert "set 'A' could not be measured (nor could B): " in str(twice)


def test_table_and_page_are_two_files(tmp_path: Path) -> None:
    one = str(tmp_path / "out")
    error = failure("constant", "--data", ROOMS, "--csv", one, "--report", f"{tmp_path}/../{tmp_path.name}/out")
    assert isinstance(error, ConfigError) and "both name" in str(error) and not (tmp_path / "out").exists()


def test_models_with_other_images_are_said_to_have_them(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_image(tmp_path / "rgb" / f"{name}.png", torch.rand(3, 24, 32))
        write_depth_png(tmp_path / "depth" / f"{name}.png", 1 + torch.rand(24, 32))
        if name != "c":
            write_depth_png(tmp_path / "out" / f"{name}.png", 1 + torch.rand(24, 32))
    models = f"predictions:{tmp_path}/out,scale=1000", "constant"
    data = f"folder:{tmp_path}/rgb,depths={tmp_path}/depth"
    told = call(*models, "--data", data).stderr
    assert f"note: Models were measured on different images ({models[0]} 2, constant 3): means are each" in told
    assert "1 image has no prediction" in json.loads(call(*models, "--data", data, "--json").stdout)[0]["warnings"][0]
