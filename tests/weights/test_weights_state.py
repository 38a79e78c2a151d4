from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from kdcli.errors import WeightsError
from kdcli.weights import convert, load_into, load_state, read_metadata, save


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must never run",))


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def _error(function: object, *arguments: object) -> str:
    with pytest.raises(WeightsError) as caught:
        function(*arguments)  # type: ignore[operator]
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500
    return text


def test_save_and_load_round_trip_with_metadata(tmp_path: Path) -> None:
    state, path = _net().state_dict(), tmp_path / "new" / "net.safetensors"
    save(path, state, {"depth_kind": "metric", "range": [0.1, 10.0], "card": {"licence": "MIT"}})
    loaded = load_state(path)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    metadata = read_metadata(path)
    assert metadata["depth_kind"] == "metric"
    assert json.loads(metadata["range"]) == [0.1, 10.0]
    assert json.loads(metadata["card"]) == {"licence": "MIT"}
    assert [p.name for p in path.parent.iterdir()] == ["net.safetensors"]


def test_save_takes_tensors_that_share_memory_or_are_strided(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    save(tmp_path / "s.safetensors", {"a": base, "b": base, "t": base.t()}, {})
    loaded = load_state(tmp_path / "s.safetensors")
    assert torch.equal(loaded["b"], base) and torch.equal(loaded["t"], base.t())


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
def test_pickles_are_unwrapped(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    state = _net().state_dict()
    named = {prefix + key: value for key, value in state.items()}
    document = named if wrapper is None else {wrapper: named, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(document, tmp_path / "net.pth")
    assert load_state(tmp_path / "net.pth").keys() == state.keys()


def test_a_prefix_that_only_some_keys_carry_is_part_of_the_name(tmp_path: Path) -> None:
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "net.pth")
    assert set(load_state(tmp_path / "net.pth")) == {"module.a", "b"}


def test_legacy_format_and_misleading_suffix(tmp_path: Path) -> None:
    state = _net().state_dict()
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert load_state(tmp_path / "old.pth").keys() == state.keys()
    save(tmp_path / "new.pth", state, {"a": "b"})
    assert load_state(tmp_path / "new.pth").keys() == state.keys()


def test_a_pickle_that_needs_code_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for legacy in (False, True):
        document = {"model": {"a": torch.zeros(1)}, "x": _Evil()}
        torch.save(document, tmp_path / "e.pth", _use_new_zipfile_serialization=not legacy)
        message = _error(load_state, tmp_path / "e.pth")
        assert "could run code" in message and "print" in message
    torch.save(_net(), tmp_path / "whole.pth")
    assert "torch.nn.modules" in _error(load_state, tmp_path / "whole.pth")
    assert "never run" not in capsys.readouterr().out


def test_files_that_are_missing_empty_or_pointers(tmp_path: Path) -> None:
    assert "do not exist" in _error(load_state, tmp_path / "no.pth")
    assert "folder" in _error(load_state, tmp_path)
    (tmp_path / "empty.pth").touch()
    assert "empty" in _error(load_state, tmp_path / "empty.pth")
    (tmp_path / "page.pth").write_text("\n<!DOCTYPE html><title>Sign in</title>")
    assert "web page" in _error(load_state, tmp_path / "page.pth")
    pointer = tmp_path / "p.pth"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    assert "git lfs pull" in _error(load_state, pointer)


def test_files_that_are_junk_or_cut_short(tmp_path: Path) -> None:
    save(tmp_path / "s.safetensors", _net().state_dict(), {})
    torch.save(_net().state_dict(), tmp_path / "z.pth")
    torch.save(_net().state_dict(), tmp_path / "l.pth", _use_new_zipfile_serialization=False)
    for name in ("s.safetensors", "z.pth", "l.pth"):
        whole = (tmp_path / name).read_bytes()
        for share in (0.02, 0.5, 0.95):
            (tmp_path / f"cut-{name}").write_bytes(whole[: max(9, int(len(whole) * share))])
            assert "cut short or damaged" in _error(load_state, tmp_path / f"cut-{name}")
    (tmp_path / "longer.safetensors").write_bytes((tmp_path / "s.safetensors").read_bytes() + b"tail")
    assert "damaged" in _error(load_state, tmp_path / "longer.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"\xff" * 4096)
    assert "neither" in _error(load_state, tmp_path / "junk.safetensors")
    (tmp_path / "junk.safetensors").write_bytes((99).to_bytes(8, "little") + b"{" + b"\xff" * 200)
    assert "damaged" in _error(load_state, tmp_path / "junk.safetensors")
    assert "damaged" in _error(read_metadata, tmp_path / "junk.safetensors")


def test_a_file_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "note": "x"}, tmp_path / "n.pth")
    assert "epoch, note" in _error(load_state, tmp_path / "n.pth")
    torch.save([1, 2], tmp_path / "l.pth")
    assert "list" in _error(load_state, tmp_path / "l.pth")


def test_load_into_is_strict_and_readable() -> None:
    net, state = _net(), _net().state_dict()
    with torch.no_grad():
        net[0].weight.zero_()
    load_into(net, {key: value for key, value in state.items() if "num_batches" not in key}, "x.pth")
    assert torch.equal(net[0].weight, state["0.weight"])
    wrong = dict(state) | {"0.bias": torch.zeros(7), "extra.weight": torch.zeros(1)}
    del wrong["1.bias"]
    before = net[0].weight.clone()
    wrong["0.weight"] = torch.ones(4, 3, 3, 3)
    message = _error(load_into, net, wrong, "x.pth")
    for piece in ("x.pth", "1 missing (1.bias)", "1 unexpected (extra.weight)", "0.bias is 7, wanted 4", "Sequential"):
        assert piece in message
    assert torch.equal(net[0].weight, before)


def test_load_into_refuses_not_a_number() -> None:
    state = _net().state_dict()
    state["1.running_var"] = torch.tensor([1.0, float("nan"), 1.0, 1.0])
    assert "1.running_var" in _error(load_into, _net(), state, "x.pth")


def test_real_files(shared: Path) -> None:
    state = load_state(shared / "data/weights/upydnet/micro-kitti/from_scratch_48x48lab/upydnet.pth")
    assert sum(tensor.numel() for tensor in state.values()) == 107_625
    assert "git lfs" in _error(load_state, shared / "data/bad_inputs/git_lfs_pointer/models/gen-2/1.pth")


def test_archives_of_other_files_are_refused_and_other_protocols_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.zip", "w") as archive:
        archive.writestr("bts_nyu/model", b"x")
    assert "archive of files (bts_nyu/model); unpack it" in _error(load_state, tmp_path / "net.zip")
    torch.jit.save(torch.jit.script(nn.ReLU()), tmp_path / "script.pt")
    assert "TorchScript program" in _error(load_state, tmp_path / "script.pt")
    for zipped in (True, False):
        torch.save(_net().state_dict(), tmp_path / "p.pt", pickle_protocol=4, _use_new_zipfile_serialization=zipped)
        assert load_state(tmp_path / "p.pt").keys() == _net().state_dict().keys()
        assert load_state(convert(tmp_path / "p.pt").path).keys() == _net().state_dict().keys()


def test_the_way_out_of_a_refusal_is_a_command_that_works(tmp_path: Path) -> None:
    torch.save(_net(), tmp_path / "my net.pt")
    assert f"`kdcli weights convert '{tmp_path}/my net.pt'` takes out" in _error(load_state, tmp_path / "my net.pt")
