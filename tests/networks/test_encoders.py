"""Pretrained encoders: where their weights are found, what happens where they are not, and that a run keeps to them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from pretrained_files import DISTRIBUTION, FILE, as_file, install, lite0, weights_of
from torch import Tensor

from kdcli.errors import SpecError, WeightsError
from kdcli.files import sha256_of
from kdcli.networks.backbone import create_backbone, timm_network
from kdcli.networks.encoders import Encoders, encoder_weights
from kdcli.plugins import registry
from kdcli.remarks import heard
from kdcli.weights import load_state
from kdcli.weights.installed import installed
from kdcli.weights.reach import barred

MODEL, TAGGED = "mobilenetv2_050", "mobilenetv2_050.lamb_in1k"
LITE0 = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    return weights_of(MODEL)


@pytest.fixture(scope="module")
def content(published: dict[str, Tensor]) -> bytes:
    return as_file(published)


@pytest.fixture
def hub(no_weights: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub that may be asked and holds the weights of one model; what it was asked for."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if TAGGED not in self.path:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return None

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.delenv("KDCLI_OFFLINE")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as http:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{http.server_port}")
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield asked
        http.shutdown()


def refused(name: str) -> str:
    with pytest.raises(WeightsError) as caught:
        create_backbone(name, pretrained=True)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 4
    return str(caught.value)


def begun(name: str, pretrained: bool | str) -> dict[str, Tensor]:
    torch.manual_seed(5)
    return dict(create_backbone(name, pretrained=pretrained).state_dict())  # type: ignore[arg-type]


def holds(state: dict[str, Tensor], published: dict[str, Tensor]) -> bool:
    return bool(state) and all(torch.equal(value, published[name]) for name, value in state.items())


def equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


def test_weights_are_fetched_once_into_our_own_folder(
    hub: list[str], no_weights: Path, content: bytes, published: dict[str, Tensor]
) -> None:
    lines: list[str] = []
    with heard(lines.append):
        assert holds(begun(MODEL, "auto"), published)
    assert lines == [f"fetching pretrained weights {TAGGED} from 127.0.0.1, licence Apache-2.0"]
    assert (no_weights / f"{TAGGED}.safetensors").read_bytes() == content
    assert holds(begun(MODEL, True), published)
    assert hub == [f"/timm/{TAGGED}/resolve/main/model.safetensors"]


def test_a_hub_without_them_is_a_random_start_or_one_line(hub: list[str]) -> None:
    lines: list[str] = []
    with heard(lines.append):
        assert equal(begun("resnet18", "auto"), begun("resnet18", False))
    assert "begins at random" in lines[-1] and "404" in lines[-1] and "\n" not in lines[-1]
    assert "404" in refused("resnet18") and len(hub) == 2


@pytest.mark.parametrize("key", ["KDCLI_OFFLINE", "HF_HUB_OFFLINE"])
def test_a_forbidden_network_is_not_asked(hub: list[str], monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(key, "1")
    assert f"{key} is set" in refused(MODEL)
    assert hub == []


def test_without_them_auto_begins_as_false_does_to_the_bit_and_says_so(no_weights: Path) -> None:
    lines: list[str] = []
    with heard(lines.append):
        random = begun(MODEL, "auto")
    assert equal(random, begun(MODEL, False))
    assert lines == [
        f"the encoder begins at random: pretrained weights of timm's '{TAGGED}' are not on this machine and "
        f"KDCLI_OFFLINE is set; connect once, or get {TAGGED}.safetensors from https://huggingface.co/timm/{TAGGED} "
        f"(its model.safetensors) and put it in {no_weights}"
    ]
    assert "or use pretrained=false" in refused(MODEL)


@pytest.mark.usefixtures("no_weights")
def test_a_model_that_has_no_pretrained_weights() -> None:
    lines: list[str] = []
    with heard(lines.append):
        assert equal(begun("mobilenetv2_035", "auto"), begun("mobilenetv2_035", False))
    assert lines == ["the encoder begins at random: there are no pretrained weights of timm's 'mobilenetv2_035'; "
                     "use another backbone or width"]
    assert "there are no pretrained weights of timm's 'mobilenetv2_035'" in refused("mobilenetv2_035")


def _in_the_hubs_cache(content: bytes) -> None:
    folder = Path(huggingface_hub.constants.HF_HUB_CACHE) / f"models--timm--{TAGGED}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    file = folder / "snapshots" / "c0ffee" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)


def test_every_cache_of_this_machine_is_looked_at(
    no_weights: Path, content: bytes, published: dict[str, Tensor], tmp_path: Path
) -> None:
    _in_the_hubs_cache(content)
    assert holds(begun(MODEL, True), published)
    # What torch's own cache holds is of a name that timm gave it before there was a hub.
    old = Path(torch.hub.get_dir()) / "checkpoints" / "resnet18-f37072fd.pth"
    old.parent.mkdir(parents=True)
    known = weights_of("resnet18.tv_in1k")
    torch.save(known, old)
    assert holds(begun("resnet18.tv_in1k", "auto"), known)
    # Our own folder comes first.
    mine = weights_of(MODEL, seed=4)
    (no_weights / f"{TAGGED}.safetensors").write_bytes(as_file(mine))
    assert holds(begun(MODEL, True), mine) and not holds(begun(MODEL, True), published)


def test_a_file_that_is_there_and_no_good_is_said_whatever_was_asked(no_weights: Path) -> None:
    file = no_weights / f"{TAGGED}.safetensors"
    for content, piece in (
        (b"no weights", "neither safetensors nor a file of torch.save"), (as_file({"w": torch.ones(3)}), "no tensor"),
        (as_file(weights_of("mobilenetv2_035")), "holds no weights of timm's 'mobilenetv2_050'"),
    ):
        file.write_bytes(content)
        assert piece in refused(MODEL) and str(file) in refused(MODEL)
        with pytest.raises(WeightsError, match=str(file)):
            begun(MODEL, "auto")


def test_a_network_does_not_keep_the_file_beside_its_own_tensors(no_weights: Path, content: bytes) -> None:
    (no_weights / f"{TAGGED}.safetensors").write_bytes(content)
    for model in (create_backbone(MODEL, pretrained=True), timm_network(MODEL, pretrained=True, num_classes=0)):
        assert "state_dict" not in model.pretrained_cfg and model.default_cfg["mean"] == (0.485, 0.456, 0.406)


def test_a_run_looks_once_and_keeps_to_what_it_found(no_weights: Path, content: bytes) -> None:
    file, encoders = no_weights / f"{TAGGED}.safetensors", Encoders()
    with encoders.building() as used:
        assert encoder_weights(MODEL, "auto") is None and used == []
    file.write_bytes(content)
    with encoders.building() as used:
        assert encoder_weights(MODEL, "auto") is None  # as before, though the file has come
        first = encoder_weights(MODEL, True)
        file.unlink()
        assert first is not None and encoder_weights(MODEL, True) is first and used == [first]
    assert encoders.taken == {TAGGED: first.origin.sha256}
    assert (first.origin.licence, first.origin.training_data) == ("Apache-2.0", "ImageNet-1k")


def test_a_run_that_goes_on_takes_what_it_began_with(no_weights: Path, content: bytes) -> None:
    _in_the_hubs_cache(content)
    file = no_weights / f"{TAGGED}.safetensors"
    file.write_bytes(as_file(weights_of(MODEL, seed=4)))
    newest = Encoders().weights(MODEL, True)
    assert newest is not None and newest.origin.sha256 == sha256_of(file)
    began = Encoders(pinned={TAGGED: "0" * 64})
    with pytest.raises(WeightsError, match="KDCLI_OFFLINE"):
        began.weights(MODEL, True)
    old = Encoders()
    file.rename(no_weights / "kept")
    sha256 = old.weights(MODEL, True).origin.sha256  # type: ignore[union-attr]
    (no_weights / "kept").rename(file)
    assert Encoders(pinned={TAGGED: str(sha256)}).weights(MODEL, "auto").origin.sha256 == sha256  # type: ignore[union-attr]
    assert Encoders(pinned={}).weights(MODEL, "auto") is None


def test_a_hub_that_has_others_now_is_told(hub: list[str], no_weights: Path) -> None:
    with pytest.raises(WeightsError, match=f"the run began with pretrained weights of '{TAGGED}' that are no longer"):
        Encoders(pinned={TAGGED: "0" * 64}).weights(MODEL, True)
    assert len(hub) == 1


def test_efficientnet_lite0_comes_from_an_installed_distribution(
    no_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = weights_of(LITE0)
    torch.save(lite0(known), tmp_path / "made.pth")
    path = install(tmp_path / "site", (tmp_path / "made.pth").read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = encoder_weights(LITE0, "auto")
    assert found is not None and equal(dict(found.state), known)
    assert (found.origin.weights, found.origin.licence) == (str(path), "Apache-2.0")
    assert holds(begun(LITE0, True), known)
    # Of another shape, or with a tensor that the network does not have.
    for name, value, piece in (
        ("_conv_stem.weight", torch.zeros(3, 3, 3, 3), "conv_stem.weight is 3x3x3x3, wanted 32x3x3x3"),
        ("_blocks.16._bn0.weight", torch.zeros(3), "_blocks.16._bn0.weight"),
    ):
        torch.save(lite0(known) | {name: value}, path)
        assert piece in refused(LITE0)


def test_the_distributions_own_file_stands_in_timms_order() -> None:
    path = installed(DISTRIBUTION, FILE)
    if path is None:
        pytest.skip(f"{DISTRIBUTION} is not installed")
    held, names = load_state(path), list(weights_of(LITE0))
    learned = [name for name in names if not name.endswith("num_batches_tracked")]
    found = encoder_weights(LITE0, True)
    assert found is not None and len(learned) == 247
    assert all(torch.equal(value, found.state[name]) for value, name in zip(held.values(), names, strict=True))


@pytest.mark.usefixtures("no_weights")
def test_how_a_spec_says_it(no_weights: Path, content: bytes, published: dict[str, Tensor]) -> None:
    with pytest.raises(SpecError, match="'mobilenet,pretrained=maybe' is not true, false or auto"):
        registry.build("student", "mobilenet,pretrained=maybe")
    (no_weights / f"{TAGGED}.safetensors").write_bytes(content)
    student = registry.build("student", "mobilenet,width=0.5,pretrained=auto")
    assert holds(dict(student.backbone.state_dict()), published)  # type: ignore[operator, union-attr]


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize(("spec", "encoder"), [
    ("adabins", "tf_efficientnet_b5.ap_in1k"), ("bts", "resnet50"), ("bts,backbone=densenet161", "densenet161"),
    ("depthart", "mobilenetv4_conv_medium.e500_r256_in1k"), ("fcrn", "resnet50"), ("hu2019", "resnet50"),
    ("hu2019,backbone=senet154", "legacy_senet154"), ("midas-small", "tf_efficientnet_lite3.in1k"), ("mff", "resnet34"),
    ("mff,backbone=mobilenet_v2", "mobilenetv2"), ("tie-kd", "mobilenetv2_100"),
    ("tie-kd,backbone=resnet18", "resnet18"), ("mobilenet", "mobilenetv2_100"), ("timm:resnet18", "resnet18"),
])
def test_all_networks_with_an_encoder_know_auto(spec: str, encoder: str) -> None:
    lines: list[str] = []
    with heard(lines.append), torch.device("meta") if "timm" not in spec and spec != "mobilenet" else nullcontext():
        registry.build("student", spec + ",pretrained=auto")
    assert len(lines) == 1 and lines[0].startswith("the encoder begins at random: ") and f"'{encoder}" in lines[0]


@pytest.mark.parametrize(("name", "options"), [("fcrn", ",backbone=resnet18"), ("depthart", "")])
def test_pretrained_beside_a_file_is_refused(no_weights: Path, tmp_path: Path, name: str, options: str) -> None:
    network = registry.build("student", name + options).network
    torch.save(network.state_dict(), tmp_path / "net.pth")  # type: ignore[operator, union-attr]
    spec = f"{name}:{tmp_path / 'net.pth'}{options}"
    with pytest.raises(SpecError, match=r"pretrained=true beside '.*net\.pth' would be without effect"):
        registry.build("student", f"{spec},pretrained=true")
    registry.build("student", f"{spec},pretrained=auto")


def test_a_server_that_does_not_answer_is_not_waited_for(no_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("KDCLI_OFFLINE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(key, raising=False)
    over = threading.Event()

    def hang(address: tuple[str, int], timeout: float) -> None:  # as the look-up of a name may
        over.wait()
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", hang)
    assert barred("https://hub.example/x", seconds=0.05) == "'hub.example' cannot be reached"
    over.set()

    def refuse(address: tuple[str, int], timeout: float) -> None:
        assert address == ("hub.example", 443)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    assert barred("https://hub.example/x") == "'hub.example' cannot be reached"
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert barred("https://hub.example/x") is None  # only the proxy can tell
