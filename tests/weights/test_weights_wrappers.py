"""Checkpoints in the wrappers of trainers, by their keys and layouts; the tensors are small."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdcli.errors import WeightsError
from kdcli.remarks import heard
from kdcli.weights import convert, load_into, load_state, parted, read_metadata, save
from kdcli.weights.wrappers import COPIES, FIRM, VAGUE, common_prefix

State = dict[str, Tensor]


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    return nn.ModuleDict({"encoder": encoder, "decoder": nn.Conv2d(4, 1, 1)})


def weights(seed: int = 0) -> State:
    return dict(network(seed).state_dict())


def named(prefix: str, state: Mapping[str, Tensor]) -> State:
    return {prefix + name: value for name, value in state.items()}


def trained() -> dict[str, Any]:
    """What trainers write beside the weights, an optimiser's moments and schedule among it."""
    net = network()
    adam = torch.optim.AdamW(net.parameters())
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    adam.step()
    return {
        "epoch": 3, "arch": "net", "optimizer": adam.state_dict(), "optimizer_state_dict": {"moments": weights(9)},
        "lr_scheduler": {"last": torch.ones(1)}, "amp_scaler": {"scale": torch.ones(1)}, "best": torch.tensor(0.5),
        "optimizer_states": [adam.state_dict()], "hyper_parameters": {"bins": torch.ones(3)},
    }


def equal(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def both(path: Path) -> list[State]:
    """Return what loading and converting make of a file."""
    made = convert(path, path.with_name("made.safetensors"))
    return [load_state(path), load_state(made.path)]


def said(path: Path, part: str | None = None) -> list[str]:
    lines: list[str] = []
    with heard(lines.append):
        load_state(path, part)
    return lines


def test_nothing_is_said_of_a_plain_state_dict(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "x.pth")
    assert said(tmp_path / "x.pth") == []


@pytest.mark.parametrize("key", [*FIRM, *VAGUE, *COPIES, "Model", "model-state-dict", "something_else"])
def test_the_only_network_is_found_under_any_key(tmp_path: Path, key: str) -> None:
    torch.save({**trained(), key: weights()}, tmp_path / "x.pth")
    for found in both(tmp_path / "x.pth"):
        equal(found, weights())


@pytest.mark.parametrize("keys", ["checkpoint.model", "checkpoint.model.state_dict", "a.b.c", "state.ema.params"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_up_to_three_levels_deep(tmp_path: Path, keys: str, zipped: bool) -> None:
    document: dict[str, Any] = weights()
    for key in reversed(keys.split(".")):
        document = {key: document, "step": 3}
    torch.save(document, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    for found in both(tmp_path / "x.pth"):
        equal(found, weights())
    torch.save({"once": {"more": document}}, tmp_path / "deep.pth")
    if len(keys.split(".")) > 1:
        with pytest.raises(WeightsError, match="no tensors by name"):
            load_state(tmp_path / "deep.pth")


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "model.", "net.", "model.student.net.", "depth_model.", "ema."],
)
def test_any_common_prefix_is_taken_off_and_said(tmp_path: Path, prefix: str) -> None:
    state = named(prefix, weights())
    torch.save({"state_dict": state, "epoch": 1}, tmp_path / "x.ckpt")
    save(tmp_path / "x.safetensors", state, {})
    for file in ("x.ckpt", "x.safetensors"):
        equal(load_state(tmp_path / file), weights())
        (line,) = said(tmp_path / file)
        assert file in line and f"'{prefix}' taken off every name" in line
        made = convert(tmp_path / file, tmp_path / "made.safetensors")
        assert made.prefix == prefix == read_metadata(made.path)["source_prefix"]
        equal(load_state(made.path), weights())


def test_an_averaged_model_of_torch(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(network())
    assert "n_averaged" in averaged.state_dict()
    torch.save(averaged.state_dict(), tmp_path / "x.pth")
    for found in both(tmp_path / "x.pth"):
        equal(found, weights())
    torch.save({"n_averaged": torch.tensor(3)}, tmp_path / "alone.pth")
    assert list(load_state(tmp_path / "alone.pth")) == ["n_averaged"]


def test_parts_of_a_name_that_are_the_networks_own() -> None:
    for names, prefix in {
        ("a.b.w", "a.c.w"): "a.", ("a.w", "b.w"): "", ("0.w", "0.b"): "", ("a.0.w", "a.0.b"): "a.", ("a", "a.b"): "",
        ("conv.w", "conv.b"): "", ("module.conv.w", "module.conv.b"): "module.", ("a.b.w",): "", ("net.a.w",): "net.",
        ("a.net.w",): "", ("ab.w", "a.w"): "", (): "", (".w", ".b"): "", ("a.", "a.b"): "",
    }.items():
        assert common_prefix(names) == prefix, names


def test_a_network_whose_own_names_all_begin_alike(tmp_path: Path) -> None:
    """Its names come back when it is filled, whatever was taken off or put before."""
    net = nn.ModuleDict({"core": network(1)})
    for state in (net.state_dict(), named("module.", net.state_dict()), network(1).state_dict()):
        torch.save(state, tmp_path / "x.pth")
        filled = nn.ModuleDict({"core": network(2)})
        load_into(filled, load_state(tmp_path / "x.pth"), "x.pth")
        equal(filled.state_dict(), net.state_dict())


SEVERAL: dict[str, tuple[Any, tuple[str, str]]] = {
    "timm": ({"state_dict": weights(1), "state_dict_ema": weights(2), **trained()}, ("state_dict", "state_dict_ema")),
    "basicsr": ({"params": weights(1), "params_ema": weights(2)}, ("params", "params_ema")),
    "dino": ({"student": named("module.backbone.", weights(1)), "teacher": named("backbone.", weights(2))},
             ("student", "teacher")),
    "lightning": ({"state_dict": named("model.", weights(1)) | named("ema.", weights(2)), "loops": {}},
                  ("model", "ema")),
    "distiller": ({"state_dict": named("student.", weights(1)) | named("teacher.", weights(2))},
                  ("student", "teacher")),
    "flat average": (named("online_model.", weights(1)) | named("ema_model.", weights(2))
                     | {"initted": torch.tensor(True), "step": torch.tensor(3)}, ("online_model", "ema_model")),
    "best and last": ({"best": {"model": weights(1)}, "last": {"model": weights(2)}}, ("best.model", "last.model")),
    "halves": ({"encoder": weights(1), "decoder": weights(2)}, ("encoder", "decoder")),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_networks_are_listed_with_how_to_choose(tmp_path: Path, name: str) -> None:
    document, keys = SEVERAL[name]
    file = tmp_path / "x.pth"
    torch.save(document, file)
    with pytest.raises(WeightsError, match="holds several networks") as caught:
        load_state(file)
    text = str(caught.value)
    assert "\n" not in text and f"{file}#" in text and f"kdcli weights convert {file} --part " in text
    for seed, key in enumerate(keys, 1):
        assert key in text
        equal(load_state(file, key), weights(seed))
        equal(load_state(f"{file}#{key}"), weights(seed))
        made = convert(file, tmp_path / "out.safetensors", key)
        equal(load_state(made.path), weights(seed))
        assert any(other in made.choices or f"state_dict.{other}" in made.choices for other in set(keys) - {key})
    with pytest.raises(WeightsError, match=r"holds no 'nothing'; it holds .* with 9 tensors"):
        load_state(file, "nothing")


def test_a_network_beside_the_weights_of_a_loss_is_had_by_its_prefix(tmp_path: Path) -> None:
    file = tmp_path / "lightning.ckpt"
    torch.save({"state_dict": {**named("model.", weights()), "loss_fn.weight": torch.ones(2)}}, file)
    equal(load_state(f"{file}#model"), weights())
    equal(load_state(convert(file, tmp_path / "out.safetensors", "model").path), weights())
    with pytest.raises(WeightsError, match="holds no 'mod'"):
        load_state(file, "mod")


def test_what_is_no_second_network(tmp_path: Path) -> None:
    state = weights()
    for document in (
        {"model": state, "state_dict": state},
        {"model": state, "criterion": {"centre": torch.ones(4)}, "queue": torch.ones(3), "memory": weights(4)},
        {"net": state, "weights": {"depth": torch.ones(1), "normal": torch.ones(1)}},
        {**state, "extra": {"table": torch.ones(2)}},
        {"generator": state, "loss": {"scale": torch.ones(1)}},
    ):
        torch.save(document, tmp_path / "x.pth")
        for found in both(tmp_path / "x.pth"):
            equal(found, state)


def test_a_tensor_that_would_be_missing_is_named(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(2), "b": torch.eye(3).to_sparse()}}, tmp_path / "x.pth")
    for read in (load_state, convert):
        with pytest.raises(WeightsError, match="b is no plain tensor"):
            read(tmp_path / "x.pth")


def test_locations_that_name_a_part(tmp_path: Path) -> None:
    (tmp_path / "a#b.pth").touch()
    for text, wanted in {
        "x.pth": ("x.pth", None), "x.pth#ema": ("x.pth", "ema"), "x.pth#a.b": ("x.pth", "a.b"), "x#": ("x#", None),
        "#ema": ("#ema", None), f"{tmp_path}/a#b.pth": (f"{tmp_path}/a#b.pth", None),
        f"{tmp_path}/a#b.pth#ema": (f"{tmp_path}/a#b.pth", "ema"),
    }.items():
        assert parted(text) == wanted
    with pytest.raises(WeightsError, match=r"'no\.pth' do not exist"):
        load_state("no.pth#ema")


def test_numbers_that_are_none_are_counted(tmp_path: Path) -> None:
    state = {"a": torch.ones(3), "b": torch.tensor([1.0, float("nan"), float("inf")]), "c": torch.ones(2).long(),
             "d": torch.tensor([float("nan")]).to(torch.float8_e4m3fn), "e": torch.tensor([float("inf")]).bfloat16()}
    torch.save(state, tmp_path / "x.pth")
    made = convert(tmp_path / "x.pth")
    assert (made.not_finite, made.not_finite_in) == (4, "b")
    torch.save({"a": torch.ones(3)}, tmp_path / "x.pth")
    made = convert(tmp_path / "x.pth")
    assert (made.not_finite, made.not_finite_in) == (0, None)
