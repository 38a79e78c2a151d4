from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_stand_in import READS, WRITES, Hub
from sharing_refusals import refused

import kdcli
from kdcli.students.files import load_student

FILES = {"README.md", "config.json", "config.toml", "picture.png", "student.onnx", "student.safetensors"}


def test_a_push_and_what_comes_back_is_the_same_network(run: Path, call: Any, hub: Hub, token: str) -> None:
    told = call("push", run, "hf:me/small")
    assert told.exit_code == 0, told.exception
    tree = hub.tree("me/small")
    assert set(tree) == FILES | {".gitattributes"} and not hub.repositories["me/small"].private
    declared = json.loads(tree["config.json"])
    assert set(declared["files"]) == {"config.toml", "student.onnx", "student.safetensors"}
    for name, one in declared["files"].items():
        assert one == {"size": len(tree[name]), "sha256": hashlib.sha256(tree[name]).hexdigest()}
    ours, _ = load_student(run / "student.safetensors")
    image = torch.rand(1, 3, 32, 48)
    assert torch.equal(kdcli.load_model("hf:me/small")(image).depth, ours(image).depth)
    assert str(run.resolve().parents[1]).encode() not in b"".join(tree.values())
    assert token.encode() not in b"".join(tree.values()) and token not in told.output


def test_only_what_belongs_to_a_student_is_sent(run: Path, call: Any, hub: Hub, token: str) -> None:
    for name in (".env", "notes.txt", "loot.json", "other.safetensors"):
        (run / name).write_text("secret")
    assert call("push", run, "hf:me/small").exit_code == 0
    assert set(hub.tree("me/small")) == FILES | {".gitattributes"}


def test_an_exported_file_that_lies_elsewhere(run: Path, call: Any) -> None:
    elsewhere = (run / "student.onnx").rename("int8.onnx")
    told = call("push", run, "hf:me/small", "--dry-run", "--file", elsewhere, "--json")
    assert {one["name"] for one in json.loads(told.stdout)["files"]} == FILES - {"student.onnx"} | {"int8.onnx"}
    (run / "int8.onnx").write_bytes(elsewhere.read_bytes())
    assert call("push", run, "hf:me/small", "--dry-run", "--file", run / "int8.onnx").exit_code == 0
    refused(call("push", run, "hf:me/small", "--dry-run", "--file", elsewhere), 1, "two exported files", "int8.onnx")
    refused(call("push", run, "hf:me/small", "--dry-run", "--file", "none.onnx"), 1, "no exported file at")


def test_dry_run_lists_files_with_sizes_shows_the_card_and_asks_nobody(run: Path, call: Any, hub: Hub) -> None:
    told = call("push", run, "hf:me/small", "--dry-run")
    assert told.exit_code == 0 and hub.asked == []
    rows = dict(line.split()[:2] for line in told.stdout.splitlines()[1:7])
    assert set(rows) == FILES and rows["student.onnx"] == f"{(run / 'student.onnx').stat().st_size:,}"
    assert "library_name: kdcli" in told.stdout and "nothing was sent" in told.stdout
    document = json.loads(call("push", run, "hf:me/small", "--dry-run", "--json").stdout)
    assert {one["name"] for one in document["files"]} == FILES and document["dry_run"] is True


def test_private_branches_and_a_second_push(run: Path, call: Any, hub: Hub, token: str) -> None:
    assert call("push", run, "hf:lab/small", "--private", "--revision", "v1").exit_code == 0
    repository = hub.repositories["lab/small"]
    assert repository.private and set(hub.tree("lab/small")) == {".gitattributes"}
    assert set(hub.tree("lab/small", "v1")) >= FILES
    (run / "student.onnx").unlink()
    told = call("push", run, "hf:lab/small@v1", "--no-picture", "--json")
    assert told.exit_code == 0 and json.loads(told.stdout)["removed"] == ["picture.png", "student.onnx"]
    assert "stays private" in told.stderr
    assert set(hub.tree("lab/small", "v1")) == FILES - {"picture.png", "student.onnx"} | {".gitattributes"}
    assert call("eval", "hf:lab/small@v1", "--data", "sim:rooms,count=1", "--device", "cpu").exit_code == 0


def test_a_public_repository_is_not_taken_for_a_private_one(run: Path, call: Any, hub: Hub, token: str) -> None:
    hub.put("me/small", {"README.md": b"hello"})
    refused(call("push", run, "hf:me/small", "--private"), 1, "is public", "--private")
    assert set(hub.tree("me/small")) == {"README.md"}


def test_what_is_no_student_is_left_as_it_is(run: Path, call: Any, hub: Hub, token: str) -> None:
    hub.put("me/other", {"README.md": b"x", "model.safetensors": b"y", "config.json": b'{"model_type": "dpt"}'})
    refused(call("push", run, "hf:me/other"), 1, "3 files that are no student of kdcli", "another name")
    assert hub.tree("me/other")["model.safetensors"] == b"y"


def test_tokens(run: Path, call: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(call("push", run, "hf:me/small"), 1, "no token", "hf auth login", "HF_TOKEN")
    for token, word in (("hf_notAtokenOfAnybody99", "does not accept the token"), (READS, "may only read")):
        monkeypatch.setenv("HF_TOKEN", token)
        told = call("push", run, "hf:me/small")
        assert token not in refused(told, 1, word, "hf auth login") + told.output
    monkeypatch.setenv("HF_TOKEN", WRITES)
    assert WRITES not in refused(call("push", run, "hf:nobody/small"), 1, "may not do that with 'nobody'")
    assert hub.repositories == {}


def test_a_file_with_a_token_in_it_is_not_sent(run: Path, call: Any, hub: Hub, token: str) -> None:
    call("card", run)
    card = run / "README.md"
    card.write_text(card.read_text() + f"\nexport HF_TOKEN={token}\n")
    line = refused(call("push", run, "hf:me/small", "--card", card), 1, "README.md", "holds a token")
    assert token not in line and hub.repositories == {}


def test_a_card_of_ones_own(run: Path, call: Any, hub: Hub, token: str) -> None:
    call("card", run, "--name", "hf:me/small")
    card = run / "README.md"
    card.write_text(card.read_text() + "\nI was here.\n")
    assert "--card" in call("push", run, "hf:me/small").stderr
    assert b"I was here" not in hub.tree("me/small")["README.md"]
    assert call("push", run, "hf:me/small", "--card", card).exit_code == 0
    assert b"I was here" in hub.tree("me/small")["README.md"]
    card.write_text("no head")
    refused(call("push", run, "hf:me/small", "--card", card), 1, "no head", "kdcli card RUN")
    card.write_text("---\na: [\n---\n")
    refused(call("push", run, "hf:me/small", "--card", card), 1, "cannot be read")
    refused(call("push", run, "hf:me/small", "--card", "none.md"), 1, "cannot be read")


@pytest.mark.parametrize(("fault", "word"), [("status:500", "answered 500"), ("status:429", "too many requests")])
def test_a_hub_in_trouble(run: Path, call: Any, hub: Hub, token: str, fault: str, word: str) -> None:
    hub.fault = fault
    refused(call("push", run, "hf:me/small"), 1, word, "try again")


def test_a_connection_that_breaks_leaves_nothing_half_there(run: Path, call: Any, hub: Hub, token: str) -> None:
    hub.fault = "drop"
    refused(call("push", run, "hf:me/small"), 1, "connection", "again")
    assert set(hub.tree("me/small")) == {".gitattributes"}
    hub.fault, sent = None, sum(one.startswith("PUT") for one in hub.asked)
    assert call("push", run, "hf:me/small").exit_code == 0
    assert sum(one.startswith("PUT") for one in hub.asked) == sent  # large files are not sent a second time


def test_offline(run: Path, call: Any, hub: Hub, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KDCLI_OFFLINE", "HF_HUB_OFFLINE"):
        with monkeypatch.context() as patched:
            patched.setenv(name, "1")
            refused(call("push", run, "hf:me/small"), 1, f"{name} is set", "unset it")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    refused(call("push", run, "hf:me/small"), 1, "cannot be reached", "HF_ENDPOINT")
    assert hub.asked == []
