from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from kdcli.cli import fit_transform, mix
from kdcli.drafts import draft_of
from kdcli.errors import ConfigError, KdcliError, PluginError
from kdcli.plugins import registry
from kdcli.students.files import save_student
from kdcli.training.seeds import seeded
from kdcli.training.single import mix_set
from kdcli.transform import load

app = typer.Typer()
app.callback()(lambda: None)
mix.register(app)
fit_transform.register(app)


@pytest.fixture(autouse=True)
def _two_threads() -> None:
    torch.set_num_threads(1)  # small pictures: a second thread costs more than it brings


def call(*words: str | Path) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)
    if isinstance(result.exception, KdcliError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def mixed(out: Path, *more: str | Path, count: int = 3, mixer: str = "object", data: str = "sim:blocks") -> Any:
    return call("mix", "--data", data, "--mixer", mixer, "--count", str(count), "--out", out, "--size", "32x48",
                "--device", "cpu", *more)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_set_has_images_instances_manifest_and_preview(tmp_path: Path) -> None:
    out, preview = tmp_path / "set", tmp_path / "preview.png"
    result = mixed(out, "--preview", preview, "--json")
    assert json.loads(result.stdout) == {
        "out": str(out), "count": 3, "made": 3, "kept": 0, "size": [32, 48], "preview": str(preview),
    }
    names = [f"{folder}/00000{i}.png" for folder in ("images", "instances") for i in range(3)]
    assert sorted(content(out)) == sorted([*names, "manifest.json"])
    with Image.open(out / "images" / "000000.png") as image:
        assert image.size == (48, 32) and image.mode == "RGB"
    ids = np.array(Image.open(out / "instances" / "000000.png"))
    assert ids.shape == (32, 48) and ids.dtype == np.uint16 and ids.max() > 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["parameters"] == {
        "data": "sim:blocks", "mixers": ["object"], "size": [32, 48], "seed": 0, "batch": 16,
    }
    assert list(manifest["images"]) == ["0", "1", "2"] and len(set(manifest["images"].values())) == 3
    assert "kdcli" in manifest["versions"]
    for number, made in manifest["made"].items():
        [donor] = made["donors"]
        assert donor != manifest["images"][number] and donor.startswith("blocks/0/")
        assert made["sha256"] == hashlib.sha256((out / "images" / f"{int(number):06d}.png").read_bytes()).hexdigest()
    with Image.open(preview) as picture:
        assert picture.size == (3 * 52 - 4, 2 * 36 - 4)


def test_same_parameters_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    mixed(tmp_path / "a"), mixed(tmp_path / "b"), mixed(tmp_path / "c", "--seed", "1")
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a")["images/000000.png"] != content(tmp_path / "c")["images/000000.png"]


def test_a_set_is_completed_and_what_is_there_is_kept(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    mixed(whole, count=18)
    mixed(part, count=2)
    stamp = (part / "images" / "000000.png").stat().st_mtime_ns
    (part / "images" / "000001.png").unlink()
    report = json.loads(mixed(part, "--json", count=18).stdout)
    assert report["made"] == 17 and report["kept"] == 1
    assert (part / "images" / "000000.png").stat().st_mtime_ns == stamp
    assert content(part) == content(whole)
    assert json.loads(mixed(part, "--json", count=18).stdout)["made"] == 0


def _killed_after_32(out: Path) -> None:
    """Make a set in a process that is killed with a file half written; the manifest is written after every batch."""
    def told(what: str, done: int, total: int) -> None:
        if done >= 32:
            draft_of(out / "images" / "000032.png").write_bytes(b"half a file")
            (out / "images" / ".000032.mine.png").write_bytes(b"precious")
            os.kill(os.getpid(), signal.SIGKILL)

    mix_set.NOTE_SECONDS = -1.0
    mix_set.mix_set("sim:blocks", ["object,placement=each"], count=40, out=out, size=(32, 48), told=told)


def test_a_killed_set_is_gone_on_with_to_the_same_bytes(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    mixed(whole, count=40, mixer="object,placement=each")
    process = multiprocessing.get_context("fork").Process(target=_killed_after_32, args=(part,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(list((part / "images").glob("[0-9]*.png"))) == 32
    report = json.loads(mixed(part, "--json", count=40, mixer="object,placement=each").stdout)
    assert report["kept"] == 32 and report["made"] == 8
    mine = part / "images" / ".000032.mine.png"
    assert mine.read_bytes() == b"precious"
    mine.unlink()
    assert content(part) == content(whole)


def test_images_without_an_entry_are_made_again(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    mixed(whole), mixed(part)
    manifest = json.loads((part / "manifest.json").read_text())
    del manifest["made"]  # as version 0.1.0 wrote it
    (part / "manifest.json").write_text(json.dumps(manifest))
    assert json.loads(mixed(part, "--json").stdout)["made"] == 3
    assert content(part) == content(whole)


def test_donors_of_each_mixer_are_named_and_pasted_objects_outlined(tmp_path: Path) -> None:
    mixed(tmp_path / "set", "--mixer", "cutmix", "--mixer", "none", "--preview", tmp_path / "p.png")
    made = json.loads((tmp_path / "set" / "manifest.json").read_text())["made"]
    assert all(len(entry["donors"]) == 2 for entry in made.values())
    picture = np.array(Image.open(tmp_path / "p.png"))
    outline = (np.abs(picture - np.array([255, 51, 153])).max(-1) <= 1)
    assert outline[36:].any() and not outline[:32].any()


def test_other_parameters_or_other_files_in_the_folder_are_refused(tmp_path: Path) -> None:
    mixed(tmp_path / "set")
    before = content(tmp_path / "set")
    with pytest.raises(ConfigError, match="holds a set made with seed=0, not 1; use another --out"):
        mixed(tmp_path / "set", "--seed", "1")
    with pytest.raises(ConfigError, match=r"mixers=.*cutmix"):
        mixed(tmp_path / "set", mixer="cutmix")
    assert content(tmp_path / "set") == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="is no mixed set"):
        mixed(tmp_path / "other")
    assert sorted(content(tmp_path / "other")) == ["thesis.txt"]


def test_true_depth_is_written_where_mixing_keeps_it(tmp_path: Path) -> None:
    mixed(tmp_path / "near", mixer="object,occlusion=true")
    metres = np.array(Image.open(tmp_path / "near" / "depth" / "000000.png")) / 1000
    assert metres.shape == (32, 48) and 0.1 < np.median(metres) < 65
    mixed(tmp_path / "far")
    assert not (tmp_path / "far" / "depth").exists()


def test_a_folder_of_images_without_objects(tmp_path: Path) -> None:
    mixed(tmp_path / "set", mixer="none")
    pictures = f"folder:{tmp_path / 'set' / 'images'}"
    mixed(tmp_path / "cut", mixer="cutmix", data=pictures, count=5)
    assert len(list((tmp_path / "cut" / "images").iterdir())) == 5 and not (tmp_path / "cut" / "instances").exists()
    with pytest.raises(ConfigError, match="needs instance maps"):
        mixed(tmp_path / "objects", data=pictures)
    assert not (tmp_path / "objects").exists()
    with pytest.raises(PluginError, match="Did you mean 'object'"):
        mixed(tmp_path / "objects", mixer="objects")


def test_size_defaults_to_that_of_the_images(tmp_path: Path) -> None:
    mixed(tmp_path / "set", mixer="none", count=2)
    pictures = f"folder:{tmp_path / 'set' / 'images'}"
    call("mix", "--data", pictures, "--mixer", "mixup", "--count", "2", "--out", tmp_path / "own", "--device", "cpu")
    assert json.loads((tmp_path / "own" / "manifest.json").read_text())["parameters"]["size"] == [32, 48]


def test_a_fit_needs_a_name_that_ends_in_safetensors_and_a_teacher_with_a_gradient(tmp_path: Path) -> None:
    words = ("fit-transform", "--data", "sim:blocks", "--steps", "1", "--size", "32x48", "--device", "cpu")
    with pytest.raises(ConfigError, match=r"write '.*g\.safetensors'"):
        call(*words, "--teacher", "ground-truth", "--out", tmp_path / "g.pt")
    with pytest.raises(ConfigError, match="gives no gradient to the image"):
        call(*words, "--teacher", "ground-truth", "--out", tmp_path / "g.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_fit_is_written_with_its_provenance_and_is_a_function_of_the_seed(tmp_path: Path) -> None:
    teacher = tmp_path / "student.safetensors"
    with seeded(0):
        student = registry.build("student", "mobilenet,width=0.35")
    save_student(teacher, student, "mobilenet,width=0.35", {"licence": "test"})
    found = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.safetensors"
        result = call(
            "fit-transform", "--teacher", f"run:{teacher}", "--data", "sim:blocks", "--mixer", "object", "--steps", "3",
            "--size", "32x48", "--batch-size", "4", "--form", "affine", "--out", out, "--device", "cpu", "--json",
        )
        found.append(json.loads(result.stdout))
        network, provenance = load(out)
        assert network.form == "affine" and provenance["data"] == "sim:blocks"
        assert provenance["after"] == found[-1]["after"]
    assert found[0]["steps"] == 3 and found[0]["before"] > 0 and len(found[0]["layers"]) > 10
    assert found[0]["after"] == found[1]["after"] <= found[0]["before"] * 1.05
