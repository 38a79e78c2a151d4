from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import Golden, count, off
from published_checks import check_exports
from torch import Tensor

import kdcli
from kdcli.errors import ConfigError, SpecError, WeightsError
from kdcli.exporters import export
from kdcli.networks.adabins import AdaBinsNet, Layout
from kdcli.networks.backbone import timm_network
from kdcli.networks.read_out import own_map, resize_map
from kdcli.plugins import registry
from kdcli.published.adabins import AdaBins, AdaBinsTeacher, convert, fitting_size
from kdcli.published.base import Checkpoint, drawing
from kdcli.testing import check_student
from kdcli.types import Prediction, ReadOut

FOLDERS: dict[Layout, str] = {"official": "adabins_nyu", "toolbox": "toolbox_adabins_efnetb5_kitti"}
PARAMETERS: dict[Layout, int] = {"official": 78_257_328, "toolbox": 78_254_641}
TAPS: dict[Layout, dict[str, str]] = {
    "official": {
        "enc1": "encoder.original_model.blocks.0", "enc3": "encoder.original_model.blocks.2",
        "enc5": "encoder.original_model.conv_head", "module:network.decoder.widen": "decoder.conv2",
        "dec1": "decoder.up1", "dec4": "decoder.up4", "pre_head": "decoder",
        "module:network.attention.local": "adaptive_bins_layer.conv3x3",
    },
    "toolbox": {
        "enc1": "backbone.original_model.blocks.0", "enc5": "backbone.original_model.conv_head",
        "module:network.decoder.widen": "decode_head.conv_list.0", "dec1": "decode_head.conv_list.1",
        "dec4": "decode_head.conv_list.4", "pre_head": "decode_head.decode_final_conv",
    },
}


def at_image_size(model: Any, image: Tensor) -> Tensor:
    """Follow the model's read-out except for the mirror image."""
    with torch.no_grad():
        prediction = model(image)
    return resize_map(own_map(prediction, model.read_out), (image.shape[-2], image.shape[-1]), model.read_out.resize)


def check_bins(prediction: Prediction, known: Golden) -> None:
    edges = known.output["bin_edges"]
    assert prediction.probs is not None and prediction.centers is not None
    assert off(prediction.centers, 0.5 * (edges[:, 1:] + edges[:, :-1])) < 1e-5
    if "probs_sub" in known.output:
        assert off(prediction.probs[..., ::16, ::16], known.output["probs_sub"]) < 1e-4


# A checkpoint has 313 MB: one of each layout is checked as a file, the other in memory.


@pytest.mark.slow
def test_the_authors_numbers_through_a_file_found_by_name(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("adabins_nyu")
    file = known.save(tmp_path / "weights/AdaBins_nyu.pt", lambda state: {
        "model": {f"module.{key}": tensor for key, tensor in state.items()}, "epoch": 24,
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]},
    })
    teacher: Any = kdcli.load_model("teacher:adabins")
    file.unlink()
    assert teacher.architecture == "adabins,layout=official,max_depth=10" and teacher.depth_range == (1e-3, 10.0)
    assert teacher.provenance.licence == "GPL-3.0" and teacher.provenance.training_data == "NYU Depth v2"
    assert not any(parameter.requires_grad for parameter in teacher.parameters()) and not teacher.training
    assert count(teacher) == PARAMETERS["official"] == known.meta["parameters"]
    assert teacher.read_out == ReadOut(clip=(1e-3, 10.0), resize="bilinear-corners", flip=True)
    check_bins(known.check(teacher, TAPS["official"]), known)
    image = known.image()
    views = at_image_size(teacher, image) + at_image_size(teacher, image.flip(-1)).flip(-1)
    assert off(views[..., 1::5, 1::5] / 2, np.load(known.folder / "evaluation.npz")["tta_sub"]) < 1e-4
    with torch.no_grad():
        assert teacher(torch.rand(1, 3, 48, 64)).depth.shape == (1, 1, 208, 272)


@pytest.mark.slow
def test_the_toolbox_numbers_through_a_file(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("toolbox_adabins_efnetb5_kitti")
    file = known.save(tmp_path / "adabins_efnetb5_KITTI.pth", lambda state: {
        "meta": {"mmcv_version": "1.3.13", "epoch": 24, "config": "bins = 256"}, "state_dict": state,
    })
    teacher: Any = kdcli.load_model(f"teacher:adabins:{file}")
    file.unlink()
    assert teacher.architecture == "adabins,layout=toolbox,max_depth=80" and teacher.depth_range == (1e-3, 80.0)
    assert teacher.provenance.licence == "Apache-2.0" and "zhyever" in teacher.provenance.notes
    assert count(teacher) == PARAMETERS["toolbox"] == known.meta["parameters"]
    assert teacher.read_out == ReadOut(clip=(1e-3, 80.0), resize="bilinear-corners", flip=True)
    check_bins(known.check(teacher, TAPS["toolbox"]), known)
    assert off(at_image_size(teacher, known.image())[..., 1::3, 1::3], known.output["depth_final_sub"]) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layout", "max_depth"), [
    ("adabins_kitti", "official", 80.0), ("toolbox_adabins_efnetb5_nyu", "toolbox", 10.0),
])
def test_the_other_numbers_in_memory(
    golden: Callable[[str], Golden], name: str, layout: Layout, max_depth: float
) -> None:
    known = golden(name)
    read = Checkpoint(path=Path(name), state=known.state())
    with drawing(read):
        model = AdaBins(layout=layout, max_depth=max_depth).eval()
    model.fill(read, convert(read))
    check_bins(known.check(model, TAPS[layout]), known)


@pytest.mark.parametrize("layout", FOLDERS)
def test_every_name_is_used_once(golden: Callable[[str], Golden], layout: Layout) -> None:
    known = golden(FOLDERS[layout])
    renamed = convert(Checkpoint(path=Path("x.pt"), state=known.shapes()))
    with torch.device("meta"):
        own = AdaBinsNet(layout).state_dict()
    assert len(renamed) == len(known.keys) == {"official": 973, "toolbox": 967}[layout]
    assert {key: value.shape for key, value in renamed.items()} == {key: value.shape for key, value in own.items()}


@pytest.mark.parametrize(
    ("new", "old"),
    [("_bins_layer.conv3x3.", "_bins_layer.embedding_conv."), (".embedding_convPxP.", ".embedding_encoder.")],
)
def test_older_names(golden: Callable[[str], Golden], new: str, old: str) -> None:
    original = golden("adabins_nyu").shapes()
    older = {key.replace(new, old): tensor for key, tensor in original.items()}
    assert older.keys() != original.keys()
    wanted = convert(Checkpoint(path=Path("x.pt"), state=original))
    assert convert(Checkpoint(path=Path("x.pt"), state=older)).keys() == wanted.keys()
    with pytest.raises(WeightsError, match="under two names"):
        convert(Checkpoint(path=Path("x.pt"), state=older | original))


@pytest.mark.parametrize(("name", "message"), [
    ("backbone.conv1.weight", r"does not have: backbone\.conv1\.weight; give AdaBins_nyu\.pt"),
    ("decode_head.conv_list.5.convA.conv.weight", r"does not have: decode_head\.conv_list\.5\.convA\.conv\.weight"),
    ("conv_out.0.bias", r"does not fit AdaBinsNet: 848 missing"),
    ("decode_head.conv_out.0.bias", r"does not fit AdaBinsNet: \d+ missing"),
])
def test_foreign_weights_are_refused(tmp_path: Path, name: str, message: str) -> None:
    torch.save({name: torch.zeros(256)}, tmp_path / "part.pt")
    with pytest.raises(WeightsError, match=message) as caught:
        AdaBinsTeacher(str(tmp_path / "part.pt"))
    assert caught.value.exit_code == 4 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "pieces"),
    [
        ({}, ("AdaBins_nyu.pt", "https://github.com/shariqfarooq123/AdaBins", "weights")),
        ({"max_depth": 80.0}, ("AdaBins_kitti.pt", "https://github.com/shariqfarooq123/AdaBins")),
        ({"layout": "toolbox"}, ("https://github.com/zhyever/Monocular-Depth", "adabins:FILE")),
        ({"location": "no/where.pt"}, ("no/where.pt", "do not exist")),
    ],
)
def test_without_weights_one_line_says_where_to_get_them(options: Mapping[str, Any], pieces: tuple[str, ...]) -> None:
    with pytest.raises(WeightsError) as caught:
        AdaBinsTeacher(**options)
    assert caught.value.exit_code == 4 and "\n" not in str(caught.value)
    assert all(piece in str(caught.value) for piece in pieces)


def test_a_range_that_does_not_hold() -> None:
    for plugin in (AdaBins, AdaBinsTeacher):
        with pytest.raises(SpecError, match="max_depth=0"):
            plugin(max_depth=0.0)


@pytest.mark.parametrize(("spec", "architecture"), [
    ("adabins", "adabins,layout=official,max_depth=10"),
    ("adabins,layout=toolbox,max_depth=80", "adabins,layout=toolbox,max_depth=80"),
])
def test_a_student_is_rebuilt_by_its_architecture(spec: str, architecture: str) -> None:
    with torch.device("meta"):
        student, again = registry.build("student", spec), registry.build("student", architecture)
    assert student.architecture == again.architecture == architecture
    assert count(student) == PARAMETERS["toolbox" if "toolbox" in spec else "official"]
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert student.state_dict().keys() == again.state_dict().keys()


def test_pretrained_asks_for_the_encoder_that_the_authors_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def remember(name: str, *, pretrained: bool, **options: Any) -> Any:
        asked.append((name, pretrained))
        return timm_network(name, pretrained=False, **options)

    monkeypatch.setattr("kdcli.networks.adabins.timm_network", remember)
    with torch.device("meta"):
        registry.build("student", "adabins,pretrained=true")
        registry.build("student", "adabins")
    assert asked == [("tf_efficientnet_b5.ap_in1k", True), ("tf_efficientnet_b5.ap_in1k", False)]


@pytest.mark.slow
@pytest.mark.parametrize("layout", FOLDERS)
def test_everything_learns_except_what_the_originals_do_not_use(
    golden: Callable[[str], Golden], layout: Layout
) -> None:
    known = golden(FOLDERS[layout])
    unused = convert(Checkpoint(path=Path("x.pt"), state={
        key: tensor for key, tensor in known.shapes().items() if key in known.meta["unused_parameters"]
    }))
    student = registry.build("student", f"adabins,layout={layout}").train()
    depth = student(torch.rand(2, 3, 256, 544)).depth
    (depth.log() ** 2).mean().backward()
    still = {
        name for name, p in student.network.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)
    }
    assert still == set(unused) and all(p.grad is None or p.grad.isfinite().all() for p in student.parameters())


@pytest.mark.slow
def test_conforms() -> None:
    # Smaller images are enlarged inside, and taps then lie at strides of the larger size. What is left out for its
    # time is asked elsewhere in this file.
    check_student("adabins", sizes=((352, 384),), skip=("sizes", "gradients"))


def test_sizes() -> None:
    for own in ((480, 640), (416, 544), (352, 1216), (384, 353)):
        assert fitting_size(*own) == own
    assert fitting_size(96, 128) == (416, 544)
    for small in ((32, 32), (20, 900), (900, 20), (1, 1), (370, 380)):
        height, width = fitting_size(*small)
        assert 128 < (height // 32) * (width // 32) <= 500
    with pytest.raises(ConfigError, match=r"--size 608x800"):
        fitting_size(3000, 4000)
    assert fitting_size(608, 800) == (608, 800)


@pytest.mark.slow
def test_exports_take_one_size(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dynamic height and width; give --size HxW \(how much AdaBins enlarges"):
        export(AdaBins().eval(), "onnx", tmp_path / "student.onnx", size="dynamic")
    check_exports("adabins", tmp_path, dynamic=False)
