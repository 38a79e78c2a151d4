"""The commands that people type first end with a student, and say what they chose."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from golden import Golden
from trees import Command, kitti, nyu, photos, rgbd
from typer.testing import CliRunner

from kdcli.cli.app import app
from kdcli.errors import KdcliError
from kdcli.plugins import registry
from kdcli.students.files import save_student
from kdcli.training.seeds import seeded

SHORT = ("--steps", 2, "--batch-size", 2, "--size", "32x48", "--set", "log_every=1")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small network as a teacher of one's own; untrained, which is all that choosing needs."""
    with seeded(3):
        student = registry.build("student", "mobilenet,width=0.35")
    path = tmp_path_factory.mktemp("teacher") / "student.safetensors"
    save_student(path, student, "mobilenet,width=0.35", {"licence": "Apache-2.0", "training_data": "nothing"})
    return f"run:{path}"


@pytest.mark.parametrize("make", [photos, rgbd])
def test_images_of_ones_own(distil: Command, tmp_path: Path, teacher: str, make: Callable[[Path], str]) -> None:
    document, said = distil("--teacher", teacher, "--data", make(tmp_path / "data"), *SHORT, "--out", "run")
    lines = [line for line in said.splitlines() if line.startswith("recipe own-images: ")]
    assert len(lines) == 1 and "without object ids" in lines[0]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["choice"] == document["choice"] and document["choice"]["recipe"] == "own-images"
    assert "; ".join(document["choice"]["reasons"]) in lines[0]
    assert (tmp_path / "run" / "student.onnx").is_file() and document["steps"] == 2
    assert set(document["eval"]) == (set() if make is photos else {"student", "teacher"})
    if make is rgbd:  # the run's own recipe names everything that was chosen
        again, said = distil("--recipe", "run/config.toml", "--set", "export=none", "--out", "again")
        assert again["choice"]["reasons"] == [] and "recipe own-images: " not in said
        assert {r: d["metrics"] for r, d in again["eval"].items()} == {
            r: d["metrics"] for r, d in document["eval"].items()
        }


def test_a_run_that_was_stopped_goes_on_with_what_was_chosen(
    distil: Command, tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdcli.training.run.folder import RunFolder

    def stop(self: RunFolder, log: Any) -> None:
        raise KeyboardInterrupt

    args = ["--teacher", teacher, "--data", photos(tmp_path / "data"), *SHORT]
    args += ["--set", "checkpoint_every=1", "--set", "export=none"]
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "log_step", stop)
        words = ["distill", *map(str, args), "--out", "run", "--device", "cpu"]
        assert CliRunner().invoke(app, words).exit_code == 130
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    monkeypatch.setattr("kdcli.choosing.chosen.choose", None)  # nothing is chosen again
    document, _ = distil("--resume", "run")
    assert document["steps"] == 2 and document["choice"] == manifest["choice"]


def test_a_dry_run_prints_choice_and_reasons(distil: Command, tmp_path: Path, teacher: str) -> None:
    args = ["--teacher", teacher, "--data", photos(tmp_path / "data"), "--size", "32x48", "--dry-run"]
    document, _ = distil(*args)
    assert document["choice"]["recipe"] == "own-images" and document["stages"][0]["steps"] > 2
    shown = CliRunner().invoke(app, ["distill", *args, "--device", "cpu"]).stdout
    assert shown.startswith("recipe own-images: ") and 'eval_data = "none"  # auto' in shown
    assert not (tmp_path / "runs").exists()


def test_teacher_and_source_are_built_once(
    distil: Command, tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    build = registry.build

    def counted(kind: str, spec: Any, **more: Any) -> Any:
        made.append(f"{kind} {spec}")
        return build(kind, spec, **more)

    monkeypatch.setattr(registry, "build", counted)
    data = rgbd(tmp_path / "data")
    distil("--teacher", teacher, "--data", data, *SHORT, "--set", "export=none", "--out", "run")
    assert made.count(f"teacher {teacher}") == 1
    for source in (f"source {data},stop=18", f"source {data},start=18"):
        assert made.count(source) == 1


@pytest.mark.parametrize(("args", "words"), [
    (["--recipe", "data-free", "--data", "folder:data"], "needs instance maps.*--recipe auto or own-images"),
    (["--mixer", "object", "--teacher", "demo", "--data", "folder:data"], "needs instance maps.*leave it out"),
    (["--data", "folder:data"], "give --teacher SPEC"),
])  # fmt: skip
def test_refusals_say_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], words: str) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "data")
    with pytest.raises(KdcliError, match=words) as caught:
        raise CliRunner().invoke(app, ["distill", *args, "--out", "run"]).exception or AssertionError
    assert caught.value.exit_code == 1 and "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_recipes_tell_of_the_word() -> None:
    def told(*args: str) -> Any:
        return CliRunner().invoke(app, ["recipes", *args])

    assert json.loads(told("list", "--json").stdout)[0]["name"] == "auto"
    assert "own-images" in told("show", "auto").stdout
    assert "no file to copy" in str(told("copy", "auto").exception)


@pytest.fixture(scope="module")
def adabins(golden: Callable[[str], Golden], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """AdaBins for rooms in its authors' layout, with random weights."""
    file = golden("adabins_nyu").save(tmp_path_factory.mktemp("adabins") / "AdaBins_nyu.pt")
    yield f"adabins:{file}"
    file.unlink()


def nyu_lists(root: Path) -> str:
    return nyu(root, split=True)


@pytest.fixture(scope="module")
def fastdepth(golden: Callable[[str], Golden], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """FastDepth, which costs a hundredth."""
    file = golden("fastdepth_mobilenet_skipadd").save(
        tmp_path_factory.mktemp("fastdepth") / "net.pth.tar",
        lambda state: {"model": state, "arch": "mobilenet", "epoch": 19},
    )
    yield f"fastdepth:{file}"
    file.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make"),
    [("adabins", photos), *(("fastdepth", make) for make in (photos, rgbd, nyu_lists, kitti, None))],
)
def test_a_published_teacher(
    distil: Command, tmp_path: Path, request: pytest.FixtureRequest, name: str, make: Callable[[Path], str] | None
) -> None:
    teacher = request.getfixturevalue(name)
    where = (
        ["--set", "fit.steps=1", "--eval-data", "sim:interiors,count=2"] if make is None
        else ["--data", make(tmp_path / "data")]
    )
    document, said = distil(
        "--teacher", teacher, "--student", "mobilenet", *where, *SHORT, "--no-twin", "--out", "run"
    )
    assert f"recipe {'data-free' if make is None else 'own-images'}: " in said
    assert (tmp_path / "run" / "student.onnx").is_file()
    assert set(document["eval"]) == (set() if make is photos else {"student", "teacher"})


@pytest.mark.slow
def test_a_published_teacher_at_its_own_size(distil: Command, tmp_path: Path, adabins: str) -> None:
    data = photos(tmp_path / "data", 3, 480, 640)
    document, _ = distil("--teacher", adabins, "--data", data, "--batch-size", 1, "--dry-run")
    assert any(reason.startswith("size 480x640") for reason in document["choice"]["reasons"])


@pytest.mark.slow
def test_the_recipe_that_could_not_be_made_smaller(distil: Command, tmp_path: Path, teacher: str) -> None:
    data = kitti(tmp_path / "data", 4, 375, 1242)
    document, said = distil(
        "--recipe", "tie-kd", "--teacher", teacher, "--student", "tie-kd,bins=16", "--data", f"{data},crop=kb",
        "--eval-data", data, "--size", "96x128", "--batch-size", 2, "--steps", 2, "--set", "teacher_cache=none",
        "--set", "workers=0", "--out", "run",
    )
    assert "crop 96x64 follows size" in said and document["eval"]["student"]["size"] == [96, 128]
