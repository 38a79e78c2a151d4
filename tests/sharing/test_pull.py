from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_stand_in import READS, Hub
from sharing_refusals import refused

import kdcli
from kdcli.exporters.card import card_of

TEN = ("--data", "sim:rooms,count=1", "--device", "cpu", "--size", "32x48")


@pytest.fixture
def pushed(run: Path, call: Any, hub: Hub, token: str, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with ``me/small``; nobody is logged in any more."""
    told = call("push", run, "hf:me/small")
    assert told.exit_code == 0, told.exception
    monkeypatch.delenv("HF_TOKEN")
    return hub


def test_what_was_pushed_works_everywhere_a_run_does(pushed: Hub, call: Any, tmp_path: Path) -> None:
    from torchvision.io import write_png

    Path("photos").mkdir()
    write_png(torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8), "photos/a.png")
    first = call("eval", "hf:me/small", *TEN)
    assert first.exit_code == 0 and "fetched hf:me/small at commit" in first.stderr, first.exception
    for words in (
        ("eval", "run:hf:me/small", *TEN), ("predict", "hf:me/small", "photos", "--out", "depth", "--device", "cpu"),
        ("eval", "teacher:run:hf:me/small", *TEN),
    ):
        told = call(*words)
        assert told.exit_code == 0, (words, told.output, told.exception)
    assert any(Path("depth").iterdir()) and card_of("hf:me/small")["licence"] == "Apache-2.0"
    refused(call("calibrate", "hf:me/small", *TEN[:4]), 1, "hub's cache", "--out FILE")


def test_into_a_folder_that_is_a_model(pushed: Hub, call: Any) -> None:
    told = call("pull", "hf:me/small", "--out", "mine/small", "--json")
    document = json.loads(told.stdout)
    assert {one.name for one in Path("mine/small").iterdir()} == {
        "config.json", "config.toml", "student.onnx", "student.safetensors",
    }
    assert document["licence"] == "Apache-2.0" and "Apache-2.0" in told.stderr
    image = torch.rand(1, 3, 32, 48)
    assert torch.equal(kdcli.load_model("mine/small")(image).depth, kdcli.load_model("hf:me/small")(image).depth)
    refused(call("pull", "hf:me/small", "--out", "mine/small"), 1, "is there already")


def test_the_cache_is_used_without_network(pushed: Hub, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("pull", "hf:me/small").exit_code == 0
    asked = len(pushed.asked)
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    assert call("eval", "hf:me/small", *TEN).exit_code == 0 and len(pushed.asked) == asked
    refused(call("pull", "hf:me/small"), 4, "KDCLI_OFFLINE is set")
    refused(call("eval", "hf:me/other", *TEN), 4, "not in the hub's cache", "KDCLI_OFFLINE")


def test_a_later_push_is_seen_by_pull_and_a_revision_stays(pushed: Hub, call: Any, run: Path) -> None:
    first = json.loads(call("pull", "hf:me/small", "--json").stdout)["commit"]
    new = {**pushed.tree("me/small"), "README.md": b"new"}
    second = pushed.repositories["me/small"].commit(new)
    assert kdcli.load_model("hf:me/small").card  # of the cache: nobody asks which commit is the newest
    assert json.loads(call("pull", "hf:me/small", "--json").stdout)["commit"] == second != first
    assert json.loads(call("pull", f"hf:me/small@{first}", "--json").stdout)["commit"] == first
    refused(call("pull", "hf:me/small@v7"), 4, "no revision 'v7'")
    refused(call("pull", "hf:me/small@v7", "--revision", "v8"), 1, "both name a revision")


def test_a_download_that_is_cut_keeps_what_is_whole(
    pushed: Hub, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed.fault = "cut"
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    refused(call("pull", "hf:me/small", "--out", "mine"), 4, "connection", "run it again")
    assert not Path("mine").exists()
    before, pushed.fault = len(pushed.asked), None
    assert call("pull", "hf:me/small", "--out", "mine").exit_code == 0
    fetched = [one.rpartition("/")[2] for one in pushed.asked[before:] if one.startswith("GET") and "resolve" in one]
    assert fetched == ["student.safetensors"]


def test_other_bytes_are_not_kept(pushed: Hub, call: Any) -> None:
    pushed.fault = "other"
    refused(call("pull", "hf:me/small"), 4, "is not what it should be", "sha256")
    refused(call("eval", "hf:me/small", *TEN), 4, "is not what it should be")
    pushed.fault = None
    assert call("eval", "hf:me/small", *TEN).exit_code == 0


def test_a_copy_that_was_damaged_is_fetched_anew(pushed: Hub, call: Any) -> None:
    told = json.loads(call("pull", "hf:me/small", "--json").stdout)
    student = Path(told["student"]).resolve()
    student.write_bytes(student.read_bytes()[:-4] + b"\0\0\0\1")
    assert call("eval", "hf:me/small", *TEN).exit_code == 0
    assert student.read_bytes()[-4:] != b"\0\0\0\1"


def test_refusals(pushed: Hub, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed.put("you/gated", {"config.json": b"{}"}, gated=True)
    pushed.put("you/closed", {"config.json": b"{}"}, private=True)
    refused(call("pull", "hf:you/gated"), 4, "gated", "accept its terms", "hf auth login")
    refused(call("pull", "hf:you/closed"), 4, "no such model", "private")
    refused(call("pull", "hf:you/nothing"), 4, "no such model", "check the name")
    refused(call("pull", "hf:small"), 1, "hf:ORG/NAME")
    refused(call("eval", "hf:", *TEN), 1, "hf:ORG/NAME")
    refused(call("pull", "midas-small"), 1, "kdcli weights pull")
    monkeypatch.setenv("HF_TOKEN", "hf_notAtokenOfAnybody99")
    refused(call("pull", "hf:me/small"), 4, "does not accept the token")
    monkeypatch.setenv("HF_TOKEN", READS)
    refused(call("pull", "hf:you/nothing"), 4, "not for this token")
    pushed.fault = "status:503"
    refused(call("pull", "hf:me/small"), 4, "answered 503", "later")
    monkeypatch.setenv("HF_ENDPOINT", "http://somebody:password@127.0.0.1:9")
    assert "password" not in refused(call("pull", "hf:me/small"), 4, "cannot be reached")
