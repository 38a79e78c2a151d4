from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden import TOLERANCE, Golden, count, off
from published_checks import check_exports
from torch import Tensor, nn

import kdcli
from kdcli.errors import SpecError, WeightsError
from kdcli.networks.fastdepth import PRUNED, FastDepthNet
from kdcli.networks.taps import TapReader
from kdcli.plugins import registry
from kdcli.testing import check_student, check_teacher
from kdcli.types import DepthKind

TEXT = "-".join(map(str, PRUNED))
SMALL = "8-16-16-24-16-40-24-24-24-24-24-32-48-48-24-40-24-16-8"


def file_of(folder: Path, network: nn.Module, **more: Tensor) -> Path:
    """Write a network's state with random numbers in every batch norm."""
    generator = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for key, tensor in state.items():
        if key.endswith(("running_mean", "running_var")):
            state[key] = 0.5 + torch.rand(tensor.shape, generator=generator)
    torch.save({"model": {**state, **more}, "epoch": 3}, folder / "net.pth")
    return folder / "net.pth"


def test_the_authors_numbers(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("fastdepth_mobilenet_skipadd")
    file = known.save(tmp_path / "net.pth.tar", lambda state: {"model": state, "arch": "mobilenet", "epoch": 19})
    model = kdcli.load_model(f"teacher:fastdepth:{file}")
    assert count(model) == 3_960_930 == known.meta["parameters"]
    names = list(model.network.state_dict())  # type: ignore[union-attr,operator]
    assert names == known.keys
    with TapReader(model, ["dec5"]) as reader:
        known.check(model, {
            "enc3": "conv5", "enc5": "conv13", "dec1": "decode_conv1", "dec5": "decode_conv5",
            "module:network.conv0": "conv0",
        })
    # Here the last layer works before the map is doubled: every fourth pixel of theirs is every second of ours.
    before = model.get_submodule("network.decode_conv6")[:2](reader.features["dec5"])  # type: ignore[index]
    assert off(before[..., ::2, ::2], known.output["before_last_relu"]) < TOLERANCE
    assert model.architecture == "fastdepth,max_depth=10"
    assert model.read_out.resize == "bilinear"  # type: ignore[union-attr]


def test_gradients_of_the_authors(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("fastdepth_mobilenet_skipadd")
    model = kdcli.load_model(f"teacher:fastdepth:{known.save(tmp_path / 'net.pth')}").double()
    model.requires_grad_(True)
    model(known.image().double()).depth.mean().backward()
    for name, norm in json.loads((known.folder / "gradient.json").read_text())["norms"].items():
        gradient = model.get_parameter(f"network.{name}").grad
        assert gradient is not None and float(gradient.norm()) == pytest.approx(norm, rel=1e-4), name


def test_a_pruned_file_tells_its_widths(tmp_path: Path) -> None:
    torch.manual_seed(0)
    # Weights of the convolutions alone: 1.34 million, as the paper says.
    pruned = FastDepthNet(PRUNED).eval()
    assert sum(p.numel() for p in pruned.parameters() if p.dim() == 4) == 1_343_664
    file = file_of(tmp_path, pruned)
    model = kdcli.load_model(f"teacher:fastdepth:{file},max_depth=8")
    assert model.architecture == f"fastdepth,widths={TEXT},max_depth=8"
    assert model.taps["enc3"].channels == 256  # type: ignore[index,union-attr]
    pruned.load_state_dict(torch.load(file, weights_only=True)["model"])
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(model(image).depth, pruned(image))
    again = registry.build("student", model.architecture)  # type: ignore[arg-type]
    again.load_state_dict(model.state_dict(), strict=True)
    assert registry.build("student", f"fastdepth:{file},widths=pruned").architecture.endswith("max_depth=10")
    with pytest.raises(WeightsError, match=r"holds FastDepth of other widths than widths=8-.*-8; leave out widths"):
        registry.build("teacher", f"fastdepth:{file},widths={SMALL}")


def test_the_best_known_pruned_network_is_an_option() -> None:
    student = registry.build("student", "fastdepth,widths=pruned")
    assert student.architecture == f"fastdepth,widths={TEXT},max_depth=10"
    assert registry.build("student", "fastdepth").architecture == "fastdepth,max_depth=10"


def test_which_weights_a_teacher_looks_for() -> None:
    with pytest.raises(WeightsError, match="fastdepth-nyu"):
        registry.build("teacher", "fastdepth")
    with pytest.raises(WeightsError, match="fastdepth-pruned-nyu"):
        registry.build("teacher", "fastdepth,widths=pruned")


def test_conforms(tmp_path: Path) -> None:
    check_student(f"fastdepth,widths={SMALL}")
    check_student("fastdepth")
    file = file_of(tmp_path, FastDepthNet([int(width) for width in SMALL.split("-")]))
    check_teacher(f"fastdepth:{file}")


def test_any_size_and_kind() -> None:
    student = registry.build("student", f"fastdepth,widths={SMALL}").eval()
    student.depth_kind = DepthKind.AFFINE_DISPARITY
    with torch.no_grad():
        prediction = student(torch.rand(1, 3, 75, 130))
    assert prediction.depth.shape == (1, 1, 64, 128)
    assert prediction.kind is DepthKind.AFFINE_DISPARITY
    assert prediction.depth.min() >= 0


@pytest.mark.parametrize(("widths", "message"), [
    ("32-64", "2 widths, not 19"),
    ("32-64-a", "not numbers with '-' between them"),
    ("0" + SMALL[1:], "a width of 0"),
    (SMALL.replace("-40-24-16-8", "-32-24-16-8"), "decode_conv2 gives 32 channels and conv5, which is added, 40"),
])
def test_widths_that_make_no_network(widths: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"widths={widths}: {message}; give 'pruned' or 19 numbers"):
        registry.build("student", f"fastdepth,widths={widths}")


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"is no checkpoint of FastDepth: it has no convolution conv0\.0\.weight;"):
        registry.build("teacher", f"fastdepth:{tmp_path / 'net.pth'}")
    network = FastDepthNet([int(width) for width in SMALL.split("-")])
    more = file_of(tmp_path, network, extra=torch.zeros(1))
    with pytest.raises(WeightsError, match=r"does not fit FastDepthNet: 1 unexpected \(extra\)"):
        registry.build("teacher", f"fastdepth:{more}")
    # Skips that are joined rather than added: more channels go into the decoder's layers than come from those before.
    joined = file_of(tmp_path, network, **{"decode_conv3.0.0.weight": torch.zeros(80, 1, 5, 5)})
    with pytest.raises(WeightsError, match=r"1 of another shape \(decode_conv3\.0\.0\.weight is 80x1x5x5, wanted 40x1"):
        registry.build("teacher", f"fastdepth:{joined}")
    narrow = file_of(tmp_path, network, **{"conv5.3.weight": torch.zeros(24, 16, 1, 1)})
    with pytest.raises(WeightsError, match=r"decode_conv2 gives 40 channels and conv5, which is added, 24; give"):
        registry.build("teacher", f"fastdepth:{narrow}")


def test_a_file_of_whole_objects_is_pointed_to_the_converter(tmp_path: Path) -> None:
    torch.save({"model": FastDepthNet([int(width) for width in SMALL.split("-")])}, tmp_path / "net.pth.tar")
    with pytest.raises(WeightsError, match="kdcli weights convert"):
        registry.build("teacher", f"fastdepth:{tmp_path / 'net.pth.tar'}")


def test_exports(tmp_path: Path) -> None:
    check_exports(f"fastdepth,widths={SMALL}", tmp_path)
