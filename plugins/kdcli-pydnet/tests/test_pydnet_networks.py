from __future__ import annotations

from pathlib import Path

import pytest
import torch
from kdcli_pydnet.geometry import centre_square, nearest_multiple
from kdcli_pydnet.pydnet import Pydnet, _positive
from kdcli_pydnet.pydnetpp import PydnetPlus
from kdcli_pydnet.upydnet import MicroPydnet
from torch import nn

from kdcli.errors import SpecError, WeightsError
from kdcli.files import sha256_of
from kdcli.networks.taps import TapReader
from kdcli.plugins import registry
from kdcli.protocols import DepthModel
from kdcli.types import DepthKind, MadeFor
from kdcli.weights import save

SMALL = {"pydnet": "pydnet,size=64x128", "pydnetpp": "pydnetpp,size=64x128", "upydnet": "upydnet"}
COUNTS = {"pydnet": 1_970_641, "pydnetpp": 1_971_843, "upydnet": 107_625}
TENSORS = {"pydnet": 76, "pydnetpp": 88, "upydnet": 34}
KINDS = {
    "pydnet": DepthKind.AFFINE_DISPARITY, "pydnetpp": DepthKind.AFFINE_DEPTH, "upydnet": DepthKind.AFFINE_DISPARITY
}
TRAINED = {"pydnet": (192, 640), "pydnetpp": (448, 640), "upydnet": (360, 360)}
KEYS = {
    "pydnet": ("conv0.0.weight", "conv5.2.bias", "decoder4.6.weight", "deconv.2.weight", "regressor.bias"),
    "pydnetpp": (
        "encoder.conv1a.weight", "decoder.L6.disp3.weight", "decoder.L2.upsampler.bias", "decoder.L3.head.bias"
    ),
    "upydnet": ("encoder.conv5.bias", "decoder2.conv2.weight", "ups1.tconv.weight"),
}


@pytest.fixture(params=SMALL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def student(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = registry.build("student", SMALL[name])
    assert isinstance(model, nn.Module)
    return model


def write_weights(name: str, path: Path) -> Path:
    save(path, student(name).state_dict(), {})
    return path


def test_keys_and_counts_are_those_of_the_published_networks(name: str) -> None:
    state = student(name).state_dict()
    assert sum(value.numel() for value in state.values()) == COUNTS[name]
    assert len(state) == TENSORS[name]
    assert set(KEYS[name]) <= set(state)


def test_every_published_file_fits(shared: Path) -> None:
    files = sorted((shared / "data/weights").rglob("*.pth"))
    assert len(files) == 4
    for file in files:
        kind = {"mobile_pydnet_kitti": "pydnet", "pydnetpp_matterport": "pydnetpp"}.get(file.parent.name, "upydnet")
        teacher = registry.build("teacher", f"{kind}:{file}")
        assert teacher.provenance.sha256 == sha256_of(file)
        assert "non-commercial" in teacher.provenance.licence or "research" in teacher.provenance.licence
        assert teacher.provenance.training_data != "unknown"
        kitti = "KITTI" in teacher.provenance.training_data
        assert teacher.made_for == MadeFor(train_size=TRAINED[kind], domain="driving" if kitti else "indoor")


def test_a_student_is_a_depth_model_that_learns(name: str) -> None:
    model = student(name)
    assert isinstance(model, DepthModel)
    prediction = model(torch.rand(2, 3, 72, 100))
    assert prediction.kind is KINDS[name] is model.depth_kind
    assert prediction.depth.shape[:2] == (2, 1)
    assert float(prediction.depth.detach().min()) > 0  # a random student starts where logarithms and medians exist
    loss = prediction.depth.square().mean() + sum(aux.mean() for aux in prediction.aux)
    loss.backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key


def test_random_students_learn_a_map(name: str) -> None:
    torch.manual_seed(0)
    model = registry.build("student", SMALL[name].replace("128", "64"))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(80):
        depth = model(image).depth
        goal = torch.linspace(0.5, 1.5, depth.shape[-1]).expand_as(depth)
        loss = (depth - goal).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # A constant gets no better than the mean distance from the median: 0.25.
    assert float(loss.detach()) < 0.2


def test_signals_keep_their_size_through_random_layers(name: str) -> None:
    model = student(name)
    image = torch.rand(1, 3, 64, 128)
    with TapReader(model, ["enc1", "pre_head"]) as reader, torch.no_grad():
        model(image)
    assert float(reader.features["pre_head"].std()) > 0.05 * float(reader.features["enc1"].std())


def test_upydnet_learns_again_after_its_last_rectifier_closed() -> None:
    model = MicroPydnet()
    torch.nn.init.constant_(model.decoder2.conv2.bias, -3.0)  # type: ignore[arg-type]
    depth = model.train()(torch.rand(1, 3, 48, 48)).depth
    assert float(depth.detach().max()) == 0.0
    (depth - 1).square().mean().backward()
    assert float(model.decoder2.conv2.bias.grad) < 0  # type: ignore[arg-type,union-attr]


def test_taps_are_as_described(name: str) -> None:
    model = student(name)
    image = torch.rand(1, 3, 64, 128)
    seen = (48, 48) if name == "upydnet" else (64, 128)
    with TapReader(model, model.taps) as reader, torch.no_grad():
        model(image)
    assert set(reader.features) == set(model.taps)
    for key, tap in model.taps.items():
        expected = (1, tap.channels, seen[0] // tap.stride, seen[1] // tap.stride)
        assert reader.features[key].shape == expected, key


def test_a_teacher_needs_a_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"teacher '{name}' needs a weights file"):
        registry.build("teacher", name)
    with pytest.raises(WeightsError, match=r"nowhere\.pth"):
        registry.build("teacher", f"{name}:{tmp_path}/nowhere.pth")
    with pytest.raises(WeightsError, match="folder"):
        registry.build("teacher", f"{name}:{tmp_path}")
    (tmp_path / "text.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(WeightsError, match="Git LFS pointer"):
        registry.build("teacher", f"{name}:{tmp_path}/text.pth")
    assert WeightsError.exit_code == 4


def test_a_teacher_refuses_another_networks_weights(tmp_path: Path) -> None:
    file = write_weights("upydnet", tmp_path / "net.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit PydnetTeacher: 76 missing .*34 unexpected"):
        registry.build("teacher", f"pydnet:{file}")


def test_a_teacher_of_unknown_weights_says_so(name: str, tmp_path: Path) -> None:
    file = write_weights(name, tmp_path / "net.safetensors")
    teacher = registry.build("teacher", f"{name}:{file}")
    provenance = teacher.provenance
    assert (provenance.name, provenance.weights, provenance.sha256) == (name, str(file), sha256_of(file))
    assert (provenance.licence, provenance.training_data) == ("unknown", "unknown")
    assert teacher.made_for is None


def test_a_student_starts_from_a_file(name: str, tmp_path: Path) -> None:
    file = write_weights(name, tmp_path / "net.safetensors")
    torch.manual_seed(1)
    plain, filled = (registry.build("student", spec) for spec in (name, f"{name}:{file}"))
    expected = student(name).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in filled.state_dict().items())
    assert any(not torch.equal(value, expected[key]) for key, value in plain.state_dict().items())
    again = registry.build("student", filled.architecture)  # rebuilds without the file
    assert again.state_dict().keys() == expected.keys()


@pytest.mark.parametrize("network", [Pydnet, PydnetPlus])
def test_sizes_that_do_not_fit_are_refused_with_one_that_does(network: type[nn.Module]) -> None:
    with pytest.raises(SpecError, match="no multiple of 64; use 192x640, or native"):
        network(size="200x640")
    with pytest.raises(SpecError, match="not HxW"):
        network(size="small")


@pytest.mark.parametrize(("side", "expected"), [(1, 64), (64, 64), (95, 64), (96, 128), (375, 384), (1242, 1216)])
def test_native_rounds_to_the_nearest_multiple(side: int, expected: int) -> None:
    assert nearest_multiple(side, 64) == expected


def test_the_whole_frame_is_seen_at_the_asked_size() -> None:
    image = torch.rand(1, 3, 70, 200)
    assert Pydnet(size="64x128")(image).depth.shape == (1, 1, 32, 64)
    assert Pydnet(size="native")(image).depth.shape == (1, 1, 32, 96)
    assert PydnetPlus(size="128x64")(image).depth.shape == (1, 1, 64, 32)
    assert [aux.shape[-1] for aux in PydnetPlus(size="64x64")(image).aux] == [16, 8]
    assert len(Pydnet().maps(torch.rand(1, 3, 64, 64))) == 6


def test_disparity_keeps_trained_values_and_stays_positive() -> None:
    raw = torch.linspace(-0.05, 0.5, 500, dtype=torch.float64, requires_grad=True)
    bent = _positive(raw)
    trained = raw >= 0.01
    assert torch.equal(bent[trained], raw[trained])
    assert float(bent.detach().min()) > 0 and bool((bent.diff() > 0).all())
    slope = torch.autograd.grad(bent.sum(), raw)[0]
    assert float(slope.diff().abs().max()) < 0.12  # no step in the slope: bent with a continuous one


@pytest.mark.parametrize(
    ("frame", "expected"),
    [((375, 1242), (7, 441, 360)), ((376, 1241), (8, 440, 360)), ((480, 640), (60, 140, 360)), ((64, 96), (0, 16, 64))],
)
def test_centre_square(frame: tuple[int, int], expected: tuple[int, int, int]) -> None:
    assert centre_square(*frame, 360) == expected


def test_upydnet_answers_for_exactly_the_centre_square() -> None:
    model = student("upydnet")
    image = torch.rand(1, 3, 375, 641)
    with torch.no_grad():
        prediction = model(image)
        square = torch.nn.functional.interpolate(image[..., 7:367, 140:500], (48, 48), mode="bilinear", antialias=True)
        expected = torch.nn.functional.interpolate(model.map(square), (360, 360), mode="bilinear")
    assert prediction.depth.shape == prediction.valid.shape == image[:, :1].shape
    assert torch.allclose(prediction.depth[..., 7:367, 140:500], expected, atol=1e-6)
    assert bool(prediction.valid[..., 7:367, 140:500].all()) and int(prediction.valid.sum()) == 360 * 360
    assert torch.equal(prediction.depth[..., 7:367, 0], prediction.depth[..., 7:367, 140])


def test_upydnet_sees_only_its_square_and_with_crop_0_the_whole_frame() -> None:
    torch.manual_seed(0)
    model, whole = MicroPydnet(crop=40), MicroPydnet(crop=0)
    image = torch.rand(1, 3, 60, 80)
    other = image.clone()
    other[..., :20] = 0
    with torch.no_grad():
        assert torch.equal(model(image).depth, model(other).depth)
        assert not torch.equal(whole(image).depth, whole(other).depth)
        assert whole(image).depth.shape == (1, 1, 48, 48) and whole(image).valid is None
    with pytest.raises(SpecError, match="crop=-1"):
        MicroPydnet(crop=-1)


def test_resizing_is_that_of_image_libraries(shared: Path) -> None:
    import numpy as np
    from kdcli_pydnet.geometry import to_net_size
    from PIL import Image

    file = next((shared / "data/kitti_unlabelled_rgb").rglob("*.png"))
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255
    small = np.asarray(picture.resize((640, 192), Image.Resampling.BILINEAR)).copy()
    expected = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
    assert float((to_net_size(pixels, (192, 640), 64) - expected).abs().max()) < 1.5 / 255  # theirs rounds to bytes
