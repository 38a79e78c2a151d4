from __future__ import annotations

import argparse
import importlib
import pickle
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kdcli.errors import ConfigError, WeightsError
from kdcli.weights import convert, load_state, read_metadata, save

SOURCE = '''
import pathlib
from torch import nn
import torch

pathlib.Path(__file__).with_name("imported").touch()


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.register_buffer("table", torch.arange(5), persistent=False)
        self.register_buffer("scale", torch.rand(1).double())
        self.register_parameter("nothing", None)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.blocks = nn.Sequential(Block(4), nn.ReLU(), Block(4))
        self.tied = self.stem
        self.halves = nn.Parameter(torch.rand(2, 2).half())
        self.strided = nn.Parameter(torch.rand(3, 5).t())


class Result:
    def __init__(self):
        self.rmse = 0.5
'''


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of somebody else, that leaves a trace when it is imported."""
    (tmp_path / "their").mkdir()
    (tmp_path / "their" / "strangers.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path / "their")
    module = importlib.import_module("strangers")
    yield module
    sys.modules.pop("strangers", None)


def _forget(tmp_path: Path) -> None:
    """Make the module unknown to this process; it could still be imported."""
    del sys.modules["strangers"]
    (tmp_path / "their" / "imported").unlink()


def _released(strangers: Any, wrap: bool) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    net = strangers.Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    document = {
        "args": argparse.Namespace(arch="net", lr=0.1), "epoch": 3, "arch": "net",
        "model": nn.DataParallel(net) if wrap else net, "best_result": strangers.Result(), "optimizer": optimizer,
    }
    return document, {key: value.clone() for key, value in net.state_dict().items()}


def _same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert sorted(found) == sorted(wanted)
    for key, value in wanted.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


@pytest.mark.parametrize("wrap", [False, True], ids=["module", "parallel"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("location", ["cpu", "cuda:0"])
def test_a_whole_module_gives_its_state_dict(
    strangers: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrap: bool, zipped: bool, location: str
) -> None:
    document, wanted = _released(strangers, wrap)
    monkeypatch.setattr("torch.serialization.location_tag", lambda _: location)
    file = tmp_path / "net.pth.tar"
    torch.save(document, file, _use_new_zipfile_serialization=zipped)
    _forget(tmp_path)
    with pytest.raises(WeightsError, match=r"could run code; `kdcli weights convert .*net\.pth\.tar`"):
        load_state(file)
    made = convert(file)
    assert made.path == tmp_path / "net.safetensors"
    _same(load_state(made.path), wanted)
    assert made.tensors == len(wanted)
    assert made.parameters == sum(p.numel() for p in document["model"].parameters())  # the tied one counts once
    assert made.taken == f"'model' ({'torch.nn.parallel.data_parallel.DataParallel' if wrap else 'strangers.Net'})"
    metadata = read_metadata(made.path)
    assert metadata["source"] == "net.pth.tar" and metadata["source_sha256"] == made.source_sha256
    assert metadata["source_part"] == made.taken
    assert not (tmp_path / "their" / "imported").exists() and "strangers" not in sys.modules


def test_the_module_itself_and_a_choice_of_modules(strangers: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    small, large = nn.Linear(2, 3), strangers.Net()
    torch.save(large, tmp_path / "whole.pt")
    assert convert(tmp_path / "whole.pt").taken == "the whole file (strangers.Net)"
    torch.save({"ema": small, "best": large, "n": 1}, tmp_path / "two.pt")
    made = convert(tmp_path / "two.pt")
    assert made.taken == "'best' (strangers.Net)" and made.left == ("'ema' (torch.nn.modules.linear.Linear)",)
    torch.save({"best": large, "net": small, "extra": {"inner": small.state_dict()}}, tmp_path / "net.pt")
    made = convert(tmp_path / "net.pt")
    assert made.taken == "'net' (torch.nn.modules.linear.Linear)" and made.left[1] == "'extra.inner'"
    _same(load_state(made.path), small.state_dict())


def test_a_state_dict_among_objects(strangers: Any, tmp_path: Path) -> None:
    """As BTS was released: an array of NumPy beside the state dict of a parallel module, and tensors beside that."""
    state = strangers.Net().state_dict()
    document = {
        "model": {f"module.{key}": value for key, value in state.items()}, "best": torch.zeros(9),
        "steps": np.zeros(9), "args": argparse.Namespace(),
    }
    torch.save(document, tmp_path / "model")
    made = convert(tmp_path / "model")
    assert made.path == tmp_path / "model.safetensors" and made.taken == "'model'"
    assert made.left == ("the whole file",)
    _same(load_state(made.path), state)


def test_plain_checkpoints_give_what_load_state_gives(strangers: Any, tmp_path: Path) -> None:
    state = strangers.Net().state_dict()
    for name, document in {
        "a.pth": state, "b.pt": {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 1},
        "c.ckpt": {"net": state, "epoch": 1},
    }.items():
        torch.save(document, tmp_path / name)
        made = convert(tmp_path / name, tmp_path / "deep" / f"{name}.safetensors")
        _same(load_state(made.path), state)
        assert made.parameters == sum(v.numel() for k, v in state.items() if not k.endswith(("mean", "var", "tracked")))
    save(tmp_path / "d.safetensors", state, {"depth_kind": "metric"})
    made = convert(tmp_path / "d.safetensors", tmp_path / "copy.safetensors")
    assert read_metadata(made.path)["depth_kind"] == "metric"
    _same(load_state(made.path), state)


def test_unusual_tensors(strangers: Any, tmp_path: Path) -> None:
    noted = nn.Parameter(torch.rand(2))
    noted.note = "a parameter with an attribute"  # type: ignore[attr-defined]
    whole = torch.rand(4, 4)
    state = {
        "noted": noted, "view": whole[1:, 2:], "whole": whole, "empty": torch.zeros(0, 3), "one": torch.tensor(1.5),
        "bfloat16": torch.rand(3).bfloat16(), "uint16": torch.arange(3).to(torch.uint16), "flags": torch.tensor([True]),
        "expanded": torch.rand(1).expand(3, 4), "float8": torch.rand(3).to(torch.float8_e4m3fn),
    }
    torch.save({"model": state, "who": strangers.Result()}, tmp_path / "x.pt")
    found = load_state(convert(tmp_path / "x.pt").path)
    assert found.keys() == state.keys()
    for key, value in state.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key].float(), value.float()), key


def _old_pickle(body: bytes, storages: list[tuple[str, bytes]]) -> bytes:
    """Return a file of torch before 1.6: magic number, version, system, document, keys, storages."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system))
    data = b"".join(struct.pack("<q", len(content) // 4) + content for _, content in storages)
    return head + body + pickle.dumps([key for key, _ in storages], 2) + data


def test_what_python_2_and_old_torch_wrote(tmp_path: Path) -> None:
    """Byte strings that are no ASCII, ``copy_reg``, ``OrderedDict`` of a list, tensors of the first sort."""
    storage = b"(U\x07storagectorch.cuda\nFloatStorage\nU\x0212U\x06cuda:0K\x06NtQ"
    view = b"(U\x07storagectorch\nFloatStorage\nU\x0212U\x03cpuK\x06(U\x01vK\x02K\x04ttQ"
    tensor = b"ctorch._utils\n_rebuild_tensor\n(%sK\x01K\x02K\x02\x86K\x02K\x01\x86tR" % storage
    part = b"ctorch._utils\n_rebuild_tensor\n(%sK\x01K\x02\x85K\x01\x85tR" % view
    parameter = b"ctorch.nn.parameter\nParameter\n%s\x85\x81(\x88\x89}tb" % tensor
    ordered = b"ccollections\nOrderedDict\n](](U\x01%c%see\x85R"
    slots = ordered % (b"w", parameter), ordered % (b"b", part), b"ccollections\nOrderedDict\n]\x85R"
    state = b"}(U\x0b_parameters%sU\x08_buffers%sU\x08_modules%sU\x04nameU\x03\xe9t\xe9u" % slots
    module = b"ccopy_reg\n_reconstructor\n(cnets\nFCRN\nc__builtin__\nobject\nNtR%sb" % state
    body = b"\x80\x02}(U\x05model%sU\x03\xe9poK\x03u." % module
    (tmp_path / "old.pth.tar").write_bytes(_old_pickle(body, [("12", struct.pack("<6f", *range(6)))]))
    found = load_state(convert(tmp_path / "old.pth.tar").path)
    assert found["w"].tolist() == [[1.0, 2.0], [3.0, 4.0]] and found["b"].tolist() == [3.0, 4.0]


def test_outputs_that_are_refused(strangers: Any, tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", {"w": torch.zeros(1)}, {})
    before = (tmp_path / "a.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="replaced by its own conversion"):
        convert(tmp_path / "a.safetensors")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "a.safetensors")
    with pytest.raises(ConfigError, match="replaced"):
        convert(tmp_path / "a.safetensors", tmp_path / "link.safetensors")
    with pytest.raises(ConfigError, match="suffix"):
        convert(tmp_path / "a.safetensors", tmp_path / "b.pth")
    assert (tmp_path / "a.safetensors").read_bytes() == before


def test_a_full_disk_leaves_nothing(strangers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(strangers.Net(), tmp_path / "net.pt")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(data[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device"):
        convert(tmp_path / "net.pt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.pt", "their"]


def test_files_that_cannot_be_converted(strangers: Any, tmp_path: Path) -> None:
    scripted = torch.jit.script(nn.Linear(2, 2))
    torch.jit.save(scripted, tmp_path / "script.pt")
    circle = strangers.Net()
    circle._modules["again"] = circle
    torch.save(circle, tmp_path / "circle.pt")
    odd = strangers.Net()
    odd._buffers["odd"] = torch.eye(3).to_sparse()
    torch.save(odd, tmp_path / "odd.pt")
    torch.save({"args": argparse.Namespace(), "n": [1, 2]}, tmp_path / "none.pt")
    save(tmp_path / "empty.safetensors", {}, {})
    for name, piece in {
        "script.pt": "TorchScript", "circle.pt": "without end", "odd.pt": "odd is no plain tensor",
        "none.pt": "no tensors that have names", "missing.pt": "do not exist",
        "empty.safetensors": "no tensors by name",
    }.items():
        with pytest.raises(WeightsError, match=piece) as caught:
            convert(tmp_path / name, tmp_path / "out.safetensors")
        assert "\n" not in str(caught.value) and name in str(caught.value)
        assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_damaged_files(strangers: Any, tmp_path: Path, zipped: bool) -> None:
    """Every cut and every flipped byte gives either one line or the tensors that are stored."""
    document = {"model": strangers.Net(), "x": strangers.Result()}
    torch.save(document, tmp_path / "n", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "n").read_bytes()
    file = tmp_path / "broken"
    for step in range(60):
        content = bytearray(whole)
        place = step * len(whole) // 60
        if step % 2:
            content[place] ^= 0xFF
        else:
            del content[max(place, 9):]
        file.write_bytes(content)
        try:
            convert(file, tmp_path / "out.safetensors")
        except WeightsError as error:
            assert "\n" not in str(error) and len(str(error)) < 500
