"""Where models are found, what a damaged one is answered with, and a hub that runs in this process."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
import torch
from kdcli_huggingface.files import weights_in
from kdcli_huggingface.origin import licence_of
from safetensors.torch import load_file, save_file

import kdcli
from kdcli.errors import ConfigError, KdcliError, WeightsError
from kdcli.files import sha256_of

Folder = Callable[[str], Path]

COMMIT = "c0ffee" + "0" * 34
IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def refused(spec: str | Path, kind: type[KdcliError] = WeightsError) -> str:
    with pytest.raises(kind) as caught:
        kdcli.load_model(f"teacher:hf:{spec}")
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    assert caught.value.exit_code == (4 if kind is WeightsError else 1)
    return message


@pytest.fixture
def copy(model: Folder, tmp_path: Path) -> Path:
    """A copy of a model that a test may damage."""
    return Path(shutil.copytree(model("glpn"), tmp_path / "copy"))


def test_provenance_of_a_folder(copy: Path) -> None:
    (copy / "README.md").write_text("---\nlicense: cc-by-nc-4.0\ntags:\n- depth\n---\n# A model\n")
    said: Any = kdcli.load_model(f"teacher:hf:{copy}").provenance
    assert said.name == f"hf:{copy}" and said.weights == str(copy / "model.safetensors")
    assert said.sha256 == sha256_of(copy / "model.safetensors")
    assert said.licence == "cc-by-nc-4.0" and said.training_data == "unknown" and said.notes == ""


@pytest.mark.parametrize(("text", "licence"), [
    ("---\nlicense: other\nlicense_name: apple-amlr\n---\n", "apple-amlr"),
    ("---\nlicense:\n- mit\n- apache-2.0\n---\n", "mit, apache-2.0"),
    ("---\ntags: [depth]\n---\n", "unknown"), ("# no front matter\n", "unknown"), ("---\n: [\n---\n", "unknown"),
    (None, "unknown"),
])
def test_licences(tmp_path: Path, text: str | None, licence: str) -> None:
    if text is not None:
        (tmp_path / "README.md").write_text(text)
    assert licence_of(tmp_path) == licence


def test_other_forms_of_weights_give_the_same(model: Folder, copy: Path) -> None:
    with torch.no_grad():
        wanted = kdcli.load_model(f"teacher:hf:{copy}")(IMAGE).depth
        state = load_file(copy / "model.safetensors")
        (copy / "model.safetensors").unlink()
        torch.save(state, copy / "pytorch_model.bin")
        assert weights_in(copy) == (copy / "pytorch_model.bin",)
        assert torch.equal(kdcli.load_model(f"teacher:hf:{copy}")(IMAGE).depth, wanted)
        keys = sorted(state)
        parts = {"model-00001-of-00002.safetensors": keys[::2], "model-00002-of-00002.safetensors": keys[1::2]}
        for part, held in parts.items():
            save_file({key: state[key] for key in held}, copy / part, metadata={"format": "pt"})
        index = {"metadata": {}, "weight_map": {key: part for part, held in parts.items() for key in held}}
        (copy / "model.safetensors.index.json").write_text(json.dumps(index))
        teacher = kdcli.load_model(f"teacher:hf:{copy}")
        assert torch.equal(teacher(IMAGE).depth, wanted)
    listing = "".join(f"{sha256_of(copy / part)}  {part}\n" for part in parts)
    assert teacher.provenance.sha256 == hashlib.sha256(listing.encode()).hexdigest()  # type: ignore[union-attr]
    (copy / "model-00002-of-00002.safetensors").unlink()
    assert "lacks a part of its weights" in refused(copy)
    for odd in ({"weight_map": {"a": "../x.safetensors"}}, {"weight_map": {"a": 3}}, {"weight_map": []}, []):
        (copy / "model.safetensors.index.json").write_text(json.dumps(odd))
        assert "names no parts of the weights" in refused(copy)
    (copy / "model.safetensors.index.json").write_text("[" * 100_000)
    assert "names no parts of the weights" in refused(copy)


def test_half_precision_is_computed_in_full(model: Folder, copy: Path) -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in load_file(copy / "model.safetensors").items()}
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "dtype": "float16", "torch_dtype": "float16"}))
    teacher = kdcli.load_model(f"teacher:hf:{copy}")
    assert {p.dtype for p in teacher.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in teacher.parameters())


def test_folders_that_are_no_model(copy: Path, tmp_path: Path) -> None:
    assert "no model folder" in refused(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    assert "no model folder" in refused(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "no config.json" in refused(tmp_path / "empty")
    assert "leave out revision=main" in refused(f"{copy},revision=main", ConfigError)
    (copy / "preprocessor_config.json").rename(tmp_path / "kept")
    assert "image processor" in refused(copy)
    (tmp_path / "kept").rename(copy / "preprocessor_config.json")
    (copy / "config.json").write_text("{")
    assert "no model that this transformers knows" in refused(copy)
    (copy / "config.json").write_text('{"model_type": "new", "auto_map": {"AutoConfig": "code.NewConfig"}}')
    (copy / "code.py").write_text("raise SystemExit('code of a repository was run')")
    assert "no model that this transformers knows" in refused(copy)


def test_models_for_another_task(copy: Path) -> None:
    (copy / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    assert "is a BertModel, no network for depth estimation" in refused(copy, ConfigError)
    (copy / "config.json").write_text('{"model_type": "bert"}')
    assert "is of the type bert" in refused(copy, ConfigError)
    (copy / "config.json").write_text('{"model_type": "dpt", "architectures": ["DPTForSemanticSegmentation"]}')
    assert "is a DPTForSemanticSegmentation" in refused(copy, ConfigError)


def test_weights_that_do_not_do(copy: Path) -> None:
    file = copy / "model.safetensors"
    state = load_file(file)
    save_file({k: v for k, v in state.items() if not k.startswith("head.")}, file, metadata={"format": "pt"})
    assert "lack 4 tensors of GLPNForDepthEstimation" in refused(copy)
    save_file({**state, "head.head.2.bias": torch.tensor([torch.nan])}, file, metadata={"format": "pt"})
    assert "not-a-number" in refused(copy)
    save_file({**state, "head.head.2.bias": torch.zeros(7)}, file, metadata={"format": "pt"})
    assert "cannot be loaded" in refused(copy)
    file.write_bytes(file.read_bytes()[:1000])
    assert "cannot be loaded" in refused(copy)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "git lfs pull" in refused(copy)
    file.unlink()
    assert "has no weights" in refused(copy)
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x02cos\nsystem\n(S'exit'\ntR.")
    assert "cannot be loaded" in refused(copy)


def test_layers_that_never_run_may_be_absent(model: Folder, tmp_path: Path) -> None:
    for name in ("dpt", "zoedepth", "depth-anything", "depth-pro"):
        folder = Path(shutil.copytree(model(name), tmp_path / name))
        state = load_file(folder / "model.safetensors")
        unused = [k for k in state if ".0.residual_layer1." in k]
        with torch.no_grad():
            wanted = kdcli.load_model(f"teacher:hf:{folder}")(IMAGE).depth
            save_file({k: v for k, v in state.items() if k not in unused}, folder / "model.safetensors",
                      metadata={"format": "pt"})
            assert unused and torch.equal(kdcli.load_model(f"teacher:hf:{folder}")(IMAGE).depth, wanted)


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs: one model, and what is answered to others."""

    folder: ClassVar[Path]
    asked: ClassVar[list[str]]
    refusals: ClassVar = {"org/gated": (403, "GatedRepo"), "org/none": (401, "RepoNotFound")}

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0]
        for name, (status, code) in self.refusals.items():
            if name in path:
                return self._answer(b"", {"X-Error-Code": code, "X-Error-Message": "no"}, status)
        if path.startswith("/api/models/"):
            if "/revision/wrong" in path:
                return self._answer(b"", {"X-Error-Code": "RevisionNotFound"}, 404)
            names = sorted(file.name for file in self.folder.iterdir()) if "tiny" in path else ["README.md"]
            if "/tree/" in path:
                tree = [{"type": "file", "path": n, "size": (self.folder / n).stat().st_size, "oid": "0" * 40}
                        for n in names]
                return self._answer(json.dumps(tree).encode(), {"Content-Type": "application/json"})
            info = {"_id": "1", "id": "org/tiny", "sha": COMMIT, "siblings": [{"rfilename": n} for n in names],
                    "tags": [], "private": False, "downloads": 0, "likes": 0}
            return self._answer(json.dumps(info).encode(), {"Content-Type": "application/json"})
        content = (self.folder / path.rpartition("/")[2]).read_bytes()
        return self._answer(content, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    def _answer(self, content: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub(model: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    Hub.folder, Hub.asked = Path(shutil.copytree(model("glpn"), tmp_path / "remote")), []
    (Hub.folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (Hub.folder / "flax_model.msgpack").write_bytes(b"large")
    (Hub.folder / "pytorch_model.bin").write_bytes(b"large")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield Hub
    server.shutdown()
    server.server_close()


def test_a_model_of_the_hub_is_fetched_once(hub: type[Hub], monkeypatch: pytest.MonkeyPatch, model: Folder) -> None:
    teacher: Any = kdcli.load_model("teacher:hf:org/tiny")
    with torch.no_grad():
        assert torch.equal(teacher(IMAGE).depth, kdcli.load_model(f"teacher:hf:{model('glpn')}")(IMAGE).depth)
    said = teacher.provenance
    assert said.name == "hf:org/tiny" and said.licence == "mit" and COMMIT in said.notes
    assert said.sha256 == sha256_of(model("glpn") / "model.safetensors")
    assert not any(name in path for path in hub.asked for name in ("flax", "pytorch_model"))
    hub.asked.clear()
    monkeypatch.setenv("KDCLI_OFFLINE", "1")
    kdcli.load_model("teacher:hf:org/tiny")
    kdcli.load_model(f"teacher:hf:org/tiny,revision={COMMIT}")
    assert hub.asked == []
    # Of a model that another program fetched in part, the rest is fetched.
    Path(said.weights).with_name("preprocessor_config.json").unlink()
    assert "KDCLI_OFFLINE is set" in refused("org/tiny")
    monkeypatch.delenv("KDCLI_OFFLINE")
    kdcli.load_model("teacher:hf:org/tiny")


def test_what_the_hub_refuses_is_told_in_one_line(hub: type[Hub]) -> None:
    assert "is gated: accept its terms at" in refused("org/gated")
    assert "neither a folder 'org/none' nor such a model on the hub" in refused("org/none")
    assert "no revision 'wrong'" in refused("org/tiny,revision=wrong")
    assert "no model of transformers with weights" in refused("org/words")


@pytest.mark.parametrize("variable", ["KDCLI_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_nobody_is_asked(hub: type[Hub], monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    assert f"{variable} is set" in refused("org/tiny")
    assert hub.asked == []


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "'127.0.0.1' cannot be reached" in refused("org/tiny")  # nothing listens at port 9
