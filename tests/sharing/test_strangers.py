"""Repositories that mean no good: only what is declared, checked and of a kind that students have is read of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hub_stand_in import Hub
from sharing_refusals import refused

from kdcli.errors import ConfigError, WeightsError
from kdcli.hub import declared
from kdcli.hub.address import is_hub, parse

STUDENT = b"not a student at all"


def _declared(files: dict[str, bytes], **facts: Any) -> dict[str, bytes]:
    listed = {name: {"size": len(one), "sha256": hashlib.sha256(one).hexdigest()} for name, one in files.items()}
    config = {"library_name": "kdcli", "format": 1, "files": listed, **facts}
    return {**files, "config.json": json.dumps(config).encode()}


@pytest.mark.parametrize("name", [
    "../student.onnx", "/etc/passwd", "a/b.onnx", ".env", "x.py", "run.sh", "pickle.pt", "model.pkl",
    "other.safetensors", "manifest.json", "C:\\x.onnx", "x.onnx/..", "-x.onnx", "README.md", "x.mlpackage/../y",
    "x.mlpackage//y", "\u00fc.onnx", "nul\0.onnx", "x.json", "config.json",
])
def test_names_that_no_student_has(name: str, hub: Hub, call: Any, tmp_path: Path) -> None:
    assert not declared.takes(name, {name: 0, "student.safetensors": 0})
    hub.put("you/evil", _declared({"student.safetensors": STUDENT, name: b"evil"}))
    refused(call("pull", "hf:you/evil", "--out", tmp_path / "out"), 4)
    assert not (tmp_path / "out").exists()
    assert not any(one.startswith("GET") and one.endswith("student.safetensors") for one in hub.asked)


@pytest.mark.parametrize("name", [
    "student.safetensors", "config.toml", "student.onnx", "small-int8.onnx", "student.xml", "student.bin",
    "student.tflite", "x.mlpackage/Data/com.apple.CoreML/model.mlmodel",
])
def test_names_that_students_have(name: str) -> None:
    assert declared.takes(name, {name: 0})


def test_a_sidecar_goes_with_its_file() -> None:
    assert declared.takes("a.tflite.json", {"a.tflite": 0, "a.tflite.json": 0})
    assert not declared.takes("a.tflite.json", {"a.tflite.json": 0})


@pytest.mark.parametrize(("config", "word"), [
    (b"{", "damaged"), (b"[]", "damaged"), (b"{}", "no student of kdcli"), (b'{"library_name": "timm"}', "no student"),
    (b'{"library_name": "kdcli", "format": 1}', "damaged"),
    (b'{"library_name": "kdcli", "format": 2, "kdcli": "9.0"}', "later kdcli (9.0)"),
    (b'{"library_name": "kdcli", "format": 1, "files": {}}', "no student.safetensors"),
    (b'{"library_name": "kdcli", "format": 1, "files": {"student.safetensors": {"size": -1, "sha256": "0"}}}',
     "no size"),
    (b"[" * 5000, "damaged"), (b" " * ((1 << 20) + 1), "too large"),
])
def test_configs_that_are_none(config: bytes, word: str, hub: Hub, call: Any) -> None:
    hub.put("you/odd", {"config.json": config, "student.safetensors": STUDENT})
    refused(call("pull", "hf:you/odd"), 4, word)


def test_what_is_no_student_says_what_it_may_be(hub: Hub, call: Any) -> None:
    hub.put("you/dpt", {"config.json": b'{"model_type": "dpt"}', "model.safetensors": STUDENT})
    refused(call("eval", "hf:you/dpt", "--data", "sim:rooms,count=1"), 4, "no student of kdcli", "teacher:hf:you/dpt")
    hub.put("you/data", {"a.csv": b"1"})
    refused(call("pull", "hf:you/data"), 4, "it has no config.json")


def test_sizes_and_files_that_do_not_agree_are_refused_before_they_are_fetched(hub: Hub, call: Any) -> None:
    tree = _declared({"student.safetensors": STUDENT})
    hub.put("you/large", {**tree, "student.safetensors": STUDENT + b"more"})
    refused(call("pull", "hf:you/large"), 4, "not what it should be", f"expected {len(STUDENT)}")
    hub.put("you/gone", {"config.json": tree["config.json"]})
    refused(call("pull", "hf:you/gone"), 4, "declares student.safetensors, which is not there")
    assert not any(one.startswith("GET") and one.endswith("student.safetensors") for one in hub.asked)


def test_weights_that_are_none_are_refused_as_from_anywhere(hub: Hub, call: Any) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> Any:
            return (Path("acted").touch, ())

    hub.put("you/pickle", _declared({"student.safetensors": pickle.dumps(Evil())}))
    refused(call("eval", "hf:you/pickle", "--data", "sim:rooms,count=1"), 4, "student.safetensors")
    assert not Path("acted").exists()


def test_a_student_given_as_a_teacher_of_transformers_is_told_apart(hub: Hub) -> None:
    pytest.importorskip("kdcli_huggingface")
    from kdcli.plugins import registry

    hub.put("you/small", _declared({"student.safetensors": STUDENT}))
    with pytest.raises(WeightsError, match="is a student of kdcli; write run:hf:you/small"):
        registry.build("teacher", "hf:you/small")


def test_addresses() -> None:
    assert is_hub("hf:me/x") and is_hub(Path("hf:me/x")) and not is_hub("runs/hf") and not is_hub("teacher:hf:me/x")
    assert str(parse(Path("hf:me/x@refs/pr/1"))) == "hf:me/x@refs/pr/1" and parse("hf:me/x", "v1").revision == "v1"
    wrong = ("hf:x", "hf:a/b/c", "hf:a/../b", "hf:a/b@", "hf:a/b@x y", "hf:a/b@../c", "hf:-a/b", "hf:a--b/c", "hf:a/b.")
    for text in wrong:
        with pytest.raises(ConfigError, match=r"hf:"):
            parse(text)
