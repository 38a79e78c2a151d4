"""What networks with weights say that they were made for."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden import Golden

from kdcli.models import load_teacher
from kdcli.plugins import registry
from kdcli.published.depthart import DepthArt
from kdcli.published.facts import DEPTHART, FACTS, MIDAS_SMALL, ZIPDEPTH
from kdcli.published.midas import MidasSmall
from kdcli.published.zipdepth import ZipDepth
from kdcli.types import MadeFor

ROOT = Path(__file__).resolve().parents[2]
INDOOR, ROAD = "indoor", "driving"
TRAINED: list[tuple[str, str, str, tuple[int, int] | None, tuple[int, int] | None, str, float | None, float | None]] = [
    # student, file, options of the teacher, size of training, of measuring, scenes, nearest and farthest
    ("fastdepth", "net.pth", "", (224, 224), (224, 224), INDOOR, None, 10.0),
    ("fastdepth", "net.pth", ",max_depth=5", None, None, "any", None, 5.0),
    ("guidedepth,size=s", "NYU_Full_GuideDepth-S.pth", "", (480, 640), (480, 640), INDOOR, 0.1, 10.0),
    ("guidedepth,size=s", "NYU_Half_GuideDepth-S.pth", "", (240, 320), (240, 320), INDOOR, 0.1, 10.0),
    ("guidedepth,size=s", "KITTI_Half_GuideDepth-S.pth", "", (192, 640), (192, 640), ROAD, 0.8, 80.0),
    ("guidedepth,size=s", "mine.pth", "", None, None, INDOOR, 0.1, 10.0),
    ("fcrn,backbone=resnet18", "net.pth", "", (228, 304), (228, 304), INDOOR, None, 10.0),
    ("fcrn,backbone=resnet18", "net.pth", ",max_depth=80", (228, 912), (228, 912), ROAD, None, 80.0),
    ("mff", "net.pth", "", (228, 304), (228, 304), INDOOR, None, 10.0),
    ("hu2019", "net.pth", "", (228, 304), (228, 304), INDOOR, None, 10.0),
    ("bts", "bts_eigen_v2.pth", "", (352, 704), None, ROAD, 1e-3, 80.0),
    ("bts", "bts_nyu_v2.pth", "", (416, 544), None, INDOOR, 1e-3, 10.0),
    ("depthformer,backbone=swin-t", "swint_nyu.pth", "", (416, 544), None, INDOOR, 1e-3, 10.0),
    ("midas-small", "net.pt", "", (256, 256), (256, 256), "any", None, None),
]


@pytest.mark.parametrize("row", TRAINED, ids=lambda row: " ".join(map(str, row[:3])))
def test_weights_say_what_they_were_made_for(tmp_path: Path, row: tuple[str, ...]) -> None:
    student, file, options, *facts = row
    network = registry.build("student", student)
    assert network.made_for is None  # it knows nothing yet
    torch.save(network.network.state_dict(), tmp_path / file)
    made = load_teacher(f"{student.partition(',')[0]}:{tmp_path / file}{options}").made_for
    assert isinstance(made, MadeFor)
    assert [made.train_size, made.eval_size, made.domain, made.near, made.far] == facts
    assert made.fit == ("within" if student == "midas-small" else "stretch")


@pytest.mark.parametrize(
    ("folder", "file", "name", "size", "domain", "far"),
    [
        ("adabins_kitti", "AdaBins_kitti.pt", "adabins", (352, 704), ROAD, 80.0),
        ("toolbox_adabins_efnetb5_nyu", "nyu.pth", "adabins", (416, 544), INDOOR, 10.0),
        ("tiekd_mobilenetv2_dpm_kitti", "net.pth", "tie-kd", (352, 704), ROAD, 80.0),
        ("tiekd_mobilenetv2_dpm_nyu", "net.pth", "tie-kd", (416, 544), INDOOR, 10.0),
    ],
)
def test_so_do_checkpoints_in_layouts_of_their_own(
    golden: Callable[[str], Golden], tmp_path: Path, folder: str, file: str, name: str, size: tuple[int, int],
    domain: str, far: float,
) -> None:  # fmt: skip
    made = load_teacher(f"{name}:{golden(folder).save(tmp_path / file)}").made_for
    assert made == MadeFor(train_size=size, domain=domain, near=1e-3, far=far)  # type: ignore[arg-type]



def test_the_page_says_the_same() -> None:
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    shown = page.split("<!-- made-for:begin -->\n")[1].split("<!-- made-for:end -->")[0].strip().splitlines()
    told: dict[str, list[tuple[float | None, MadeFor]]] = {title: list(facts.items()) for title, facts in FACTS.items()}
    told |= {MidasSmall.title: [(None, MIDAS_SMALL)], ZipDepth.title: [(None, ZIPDEPTH)]}
    told[DepthArt.title] = [(None, made) for made in DEPTHART.values()]
    own = [plugin for plugin in registry.discover() if plugin.kind == "student" and "kdcli.published" in plugin.value]
    names = {getattr(registry.load(plugin), "title", ""): plugin.name for plugin in own if _is_there(plugin.value)}
    rows = [_row(names[title], made, far) for title, facts in told.items() for far, made in facts]
    assert sorted(shown[2:]) == sorted(rows)


def _is_there(value: str) -> bool:
    return importlib.util.find_spec(value.partition(":")[0]) is not None


def _row(name: str, made: MadeFor, far: float | None) -> str:
    sizes = ["as they are" if size is None else "x".join(map(str, size)) for size in (made.train_size, made.eval_size)]
    within = "" if made.fit == "stretch" else f"{made.fit} "
    ends = "" if far is None else f"{'' if made.near is None else f'{made.near:g} to '}{far:g} m"
    return f"| `{name}` | {made.domain} | {sizes[0]} | {within}{sizes[1]} | {ends} |"
