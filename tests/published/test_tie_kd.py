from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import Golden, count, off
from published_checks import check_exports

import kdcli
from kdcli.errors import SpecError, WeightsError
from kdcli.networks.read_out import own_map
from kdcli.networks.taps import TapReader
from kdcli.plugins import registry
from kdcli.testing import check_student, check_teacher

DECODER = {"dec1": "decode_head.conv_list.0"}
MOBILE = {
    "module:network.backbone.blocks.0": "backbone.layer1", "enc1": "backbone.layer2", "enc3": "backbone.layer5",
    "enc4": "backbone.layer7", "dec2": "decode_head.conv_list.1", "dec4": "decode_head.conv_list.3",
    "module:network.decode_head.upsample_custom": "decode_head.upsample_custom",
    "pre_head": "decode_head.upsample_custom2", **DECODER,
}
RESNET = {"enc2": "backbone.layer1", "enc5": "backbone.layer4", "dec5": "decode_head.conv_list.4",
          "pre_head": "decode_head.upsample_custom", **DECODER}


@pytest.mark.parametrize(
    ("name", "parameters", "variant"),
    [
        ("mobilenetv2_dpm_kitti", 17_647_618, "backbone=mobilenet_v2,head=dpm,dataset=kitti"),
        ("mobilenetv2_dpm_nyu", 17_620_786, "backbone=mobilenet_v2,head=dpm,dataset=nyu"),
        ("mobilenetv2_response_kitti", 17_647_489, "backbone=mobilenet_v2,head=response,dataset=kitti"),
        ("resnet18_dpm_kitti", 16_783_938, "backbone=resnet18,head=dpm,dataset=kitti"),
        ("resnet18_response_kitti", 16_783_809, "backbone=resnet18,head=response,dataset=kitti"),
        pytest.param("resnet50_dpm_kitti", 78_394_178, "backbone=resnet50,head=dpm,dataset=kitti",
                     marks=pytest.mark.slow),
        pytest.param("resnet50_dpm_nyu", 78_367_346, "backbone=resnet50,head=dpm,dataset=nyu", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_authors_numbers_through_a_file_that_tells_its_variant(
    golden: Callable[[str], Golden], tmp_path: Path, name: str, parameters: int, variant: str
) -> None:
    known = golden(f"tiekd_{name}")
    file = known.save(tmp_path / f"{name}.pth", lambda state: {"meta": {"epoch": 24}, "state_dict": state})
    model = kdcli.load_model(f"teacher:tie-kd:{file}")
    file.unlink()
    size = "max_depth=80,bins=257" if "kitti" in name else "max_depth=10,bins=49"
    size = size if "dpm" in name else "max_depth=80"
    assert model.architecture == f"tie-kd,{size},{variant}"
    assert count(model) == parameters == known.meta["parameters"]
    assert len(model.network.state_dict()) == len(known.keys)  # type: ignore[union-attr,operator]
    said = known.check(model, MOBILE if "mobile" in name else RESNET)
    if "dpm" in name:
        assert said.probs is not None and said.centers is not None
        assert off(said.probs[..., ::24, ::24], known.output["probs_sub"]) < 1e-4
        edges = known.output["bin_edges"]
        assert np.abs(said.centers.numpy() - (edges[1:] + edges[:-1]) / 2).max() < 1e-5
    else:
        assert said.probs is None
    read = own_map(said, model.read_out)  # type: ignore[arg-type]
    assert torch.equal(read, said.depth), "depth lies within the clip"
    assert model.provenance.licence == "Apache-2.0"  # type: ignore[union-attr]


@pytest.mark.parametrize("spec", ["tie-kd", "tie-kd,head=response,max_depth=80", "tie-kd,backbone=resnet18,bins=16"])
def test_students_conform(spec: str) -> None:
    check_student(spec)


def test_teachers_conform(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    file = golden("tiekd_mobilenetv2_dpm_nyu").save(tmp_path / "x.pth", lambda state: {"state_dict": state})
    check_teacher(f"tie-kd:{file}")


def test_the_data_set_follows_the_range() -> None:
    for spec, bins, farthest in (
        ("tie-kd", 49, 10), ("tie-kd,max_depth=80", 257, 80), ("tie-kd,dataset=kitti", 257, 80),
        ("tie-kd,dataset=kitti,max_depth=60", 257, 60), ("tie-kd,bins=33", 33, 10),
    ):
        student = registry.build("student", spec)
        assert student.network.centers.shape == (bins,) and student.depth_range[1] == farthest
        again = registry.build("student", student.architecture)
        again.load_state_dict(student.state_dict())
        assert again.depth_range == student.depth_range
    with pytest.raises(SpecError, match="max_depth=0"):
        registry.build("student", "tie-kd,max_depth=0.0")
    with pytest.raises(SpecError, match="bins=1 "):
        registry.build("student", "tie-kd,bins=1")
    with pytest.raises(SpecError, match="bins=33 belongs to head=dpm"):
        registry.build("student", "tie-kd,head=response,bins=33")
    uneven = registry.build("student", "tie-kd,max_depth=12.3456789")
    assert registry.build("student", uneven.architecture).depth_range == uneven.depth_range


def test_other_numbers_of_bins_are_read_from_the_file(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    state, file = golden("tiekd_resnet18_dpm_kitti").state(), tmp_path / "x.pth"

    def variant(rows: int, options: str = "") -> str:
        cut = {key: value[:rows] for key, value in state.items() if "conv_out" in key}
        torch.save({"state_dict": state | cut}, file)
        return str(registry.build("teacher", f"tie-kd:{file}{options}").architecture)

    assert variant(33) == "tie-kd,max_depth=10,bins=33,backbone=resnet18,head=dpm,dataset=nyu"
    assert variant(33, ",dataset=kitti") == "tie-kd,max_depth=80,bins=33,backbone=resnet18,head=dpm,dataset=kitti"
    with pytest.raises(WeightsError, match="with bins=33; leave out bins=49"):
        variant(33, ",bins=49")
    assert "head=response" in variant(256)
    assert "bins=256,backbone=resnet18,head=dpm" in variant(256, ",head=dpm,bins=256")
    with pytest.raises(WeightsError, match="with head=response; leave out head=dpm"):
        variant(256, ",head=dpm")
    file.unlink()


def test_the_stems_tap_is_what_the_decoder_gets() -> None:
    student = registry.build("student", "tie-kd,backbone=resnet18,bins=8").eval()
    with torch.no_grad(), TapReader(student, ["enc1"]) as reader:
        student(torch.rand(1, 3, 32, 64))
    assert reader.features["enc1"].min() == 0


def test_response_heads_have_no_weights_by_name() -> None:
    with pytest.raises(WeightsError, match="response head are known by name; give a file"):
        registry.build("teacher", "tie-kd,head=response")


def test_what_a_file_contradicts_is_refused(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    known = golden("tiekd_mobilenetv2_dpm_nyu")
    file = known.save(tmp_path / "x.pth", lambda state: {"state_dict": state})
    for option, held in (("dataset=kitti", "dataset=nyu"), ("head=response", "head=dpm"),
                         ("backbone=resnet18", "backbone=mobilenet_v2")):
        with pytest.raises(WeightsError, match=f"with {held}; leave out {option}"):
            registry.build("teacher", f"tie-kd:{file},{option}")
    state = known.state()
    torch.save({"state_dict": {**state, "neck.conv.weight": torch.zeros(1)}}, file)
    with pytest.raises(WeightsError, match=r"does not have: neck\.conv\.weight"):
        registry.build("teacher", f"tie-kd:{file}")
    torch.save({"conv1.weight": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match="no checkpoint of TIE-KD"):
        registry.build("teacher", f"tie-kd:{file}")


@pytest.mark.parametrize(("options", "file"), [("", "mobilenetv2-nyu"), (",max_depth=80", "mobilenetv2-kitti"),
                                               (",backbone=resnet18,dataset=kitti", "resnet18-kitti")])
def test_without_weights_one_line_says_where_to_get_them(options: str, file: str) -> None:
    with pytest.raises(WeightsError, match=f"tie-kd-{file}") as caught:
        registry.build("teacher", f"tie-kd{options}")
    assert "\n" not in str(caught.value) and caught.value.exit_code == 4


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["tie-kd", "tie-kd,backbone=resnet18,head=response"])
def test_exports(tmp_path: Path, spec: str) -> None:
    check_exports(spec, tmp_path)
    (tmp_path / "student.onnx").unlink()
