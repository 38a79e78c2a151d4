from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from sharing_refusals import refused
from torchvision.io import write_png

from kdcli.sharing.facts import facts_of


def _parts(text: str) -> tuple[dict[str, Any], str]:
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def _changed(run: Path, **facts: Any) -> None:
    path = run / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_head_is_what_the_hub_reads_and_numbers_are_plain(run: Path, call: Any) -> None:
    told = call("card", run)
    assert told.exit_code == 0 and told.stdout.strip() == "runs/small/README.md"
    head, _ = _parts((run / "README.md").read_text())
    assert head["library_name"] == "kdcli" and head["pipeline_tag"] == "depth-estimation"
    assert head["license"] == "apache-2.0" and "onnx" in head["tags"]
    (model,) = head["model-index"]
    (result,) = model["results"]
    told_metrics = {one["type"]: one for one in result["metrics"]}
    measured = json.loads((run / "manifest.json").read_text())["eval"]["student"]
    for name in ("abs_rel", "rmse", "delta1", "silog"):
        assert type(told_metrics[name]["value"]) is float
        assert told_metrics[name]["value"] == pytest.approx(measured["metrics"][name])
        assert told_metrics[name]["args"]["ci95"] == pytest.approx(measured["ci95"][name])
    assert result["dataset"]["args"]["protocol_hash"] == measured["protocol"]["hash"]


def test_head_is_read_back_by_the_hubs_own_client(run: Path, call: Any) -> None:
    from huggingface_hub import ModelCard

    call("card", run, "--name", "hf:me/rooms")
    data = ModelCard((run / "README.md").read_text()).data
    assert data.model_name == "rooms" and {one.metric_type for one in data.eval_results} >= {"abs_rel", "delta1"}


def test_body_has_verdict_protocol_licence_and_what_was_not_measured(run: Path, call: Any) -> None:
    call("card", run, "--name", "hf:me/rooms")
    _, body = _parts((run / "README.md").read_text())
    manifest = json.loads((run / "manifest.json").read_text())
    pair = manifest["eval"]["student"]["paired"]["twin"]
    assert f"delta1 {pair['difference']['delta1']:+.3f}" in body and "twin" in body
    low, high = pair["ci95"]["delta1"]
    verdict = "Better than" if low > 0 else "Worse than" if high < 0 else "Not told apart from"
    assert f"**{verdict} its twin**" in body.partition("![")[0]  # before the picture, which is large
    assert manifest["eval"]["student"]["protocol"]["hash"] in body
    assert "`demo` (Apache-2.0) allows use" in body and "63a4be249ebaf111" in body
    assert "how good it is on photographs was not measured" in body and "brought to 32x48" in body
    assert "kdcli predict hf:me/rooms photos --out depth" in body


def test_a_licence_that_forbids_and_one_that_is_unknown_are_named_plainly(run: Path, call: Any, tmp_path: Path) -> None:
    from kdcli.students.files import CARD, read_card
    from kdcli.weights import load_tensors, save

    student = run / "student.safetensors"
    card = read_card(student)
    first = card["teachers"][0]
    card["teachers"] = [{**first, "spec": "a", "licence": "CC-BY-NC-4.0"}, {**first, "spec": "b", "licence": "unknown"}]
    save(student, load_tensors(student), {CARD: json.dumps(card)})
    told = call("push", run, "hf:me/small", "--dry-run")
    assert told.exit_code == 0, told.exception
    assert "`a` (CC-BY-NC-4.0) forbids commercial use: treat this student as forbidden" in told.stdout
    assert "`b` (unknown) states no licence" in told.stdout
    assert "note: a (CC-BY-NC-4.0) forbids" in told.stderr and "note: b (unknown) states" in told.stderr
    assert "license: other" in told.stdout


@pytest.mark.slow
def test_lines_of_python_run_as_they_stand(run: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("export", run, "--out", run / "student.onnx").exit_code == 0
    call("card", run)
    text = (run / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(run)
    write_png(torch.randint(0, 256, (3, 45, 70), dtype=torch.uint8), "photo.png")
    room: dict[str, Any] = {}
    exec(blocks[0].replace("photo.jpg", "photo.png"), room)  # PNG: it is read the same everywhere
    ours = room["depth"].detach()
    exec(blocks[1], room)
    assert ours.shape[:2] == (1, 1) and torch.allclose(ours, torch.from_numpy(room["depth"]), rtol=1e-4)


def test_a_run_without_measurement_says_so(run: Path, call: Any) -> None:
    _changed(run, eval={})
    assert call("card", run, "--no-picture").exit_code == 0
    head, body = _parts((run / "README.md").read_text())
    assert "model-index" not in head and "was not measured" in body
    assert "Nobody has measured its accuracy" in body and "picture.png" not in body


def test_no_folder_and_no_token_gets_out(run: Path, call: Any) -> None:
    secret = "hf_abcdefghijABCDEFGHIJ0123"
    argv = ["/home/somebody/bin/kdcli", "distill", "--data", "folder:/home/somebody/photos", "--logger",
            f"wandb,key={secret}", "--out", "/home/somebody/runs/x"]
    _changed(run, argv=argv)
    recipe = (run / "config.toml").read_text()
    (run / "config.toml").write_text(recipe.replace('"sim:blocks,count=4"', '"folder:/home/somebody/photos"'))
    told = call("push", run, "hf:me/small", "--dry-run", "--json")
    text = json.loads(told.stdout)["card"]
    assert "kdcli distill --data folder:photos --logger 'wandb,key=***'" in text
    assert "home/somebody" not in text and secret not in text
    from kdcli.sharing.private import cleaned_recipe

    cleaned = cleaned_recipe((run / "config.toml").read_text())
    assert "somebody" not in cleaned and 'data = "folder:photos"' in cleaned
    before, after = (tomllib.loads(one) for one in (recipe, cleaned))
    assert before["run"] == after["run"] and len(before["stage"]) == len(after["stage"])


def test_names_of_a_run_are_no_markup(run: Path, call: Any) -> None:
    _changed(run, device="<script>alert(1)</script> | [x](javascript:1)")
    call("card", run)
    text = (run / "README.md").read_text()
    assert "<script>" not in text and "\\<script\\>" in text and "| [x]" not in text


def test_refusals(run: Path, call: Any, tmp_path: Path) -> None:
    (run / "README.md").write_text("mine")
    refused(call("card", run), 1, "is there already", "--out")
    assert (run / "README.md").read_text() == "mine"
    refused(call("card", tmp_path / "nowhere"), 4, "there is no run at")
    refused(call("card", run / "student.safetensors", "--out", "x.md"), 4, "is a file")
    refused(call("card", run, "--name", "me/x", "--out", "x.md"), 1, "hf:ORG/NAME")
    _changed(run, state="interrupted")
    refused(call("card", run, "--out", "x.md"), 1, "interrupted", "kdcli distill --resume")
    assert not Path("x.md").exists()


def test_an_exported_file_of_another_model_stays(run: Path, call: Any) -> None:
    (run / "student.safetensors").write_bytes((run / "twin" / "student.safetensors").read_bytes())
    facts = facts_of(run)
    assert facts.exported == () and "exported from another model" in facts.left_out[0]
    told = call("push", run, "hf:me/small", "--dry-run")
    assert "student.onnx is left out" in told.stderr and "onnxruntime.InferenceSession" not in told.stdout
    refused(call("push", run, "hf:me/small", "--dry-run", "--file", run / "student.onnx"), 1, "another model")
