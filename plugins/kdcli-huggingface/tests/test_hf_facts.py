"""What a model of the hub says that it was made for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import kdcli
from kdcli.types import MadeFor

Folder = Callable[[str], Path]

KNOWN = {
    "dpt": MadeFor(train_size=(64, 64)),
    "dpt-dinov2": MadeFor(),  # brought to no size
    "depth-anything": MadeFor(train_size=(70, 70)),
    "depth-anything-metric": MadeFor(train_size=(70, 70), domain="indoor", far=20.0),
    "glpn": MadeFor(domain="indoor", far=10.0),
    # Its heads are named after their data.
    "zoedepth": MadeFor(train_size=(64, 96), domain="indoor", near=0.001, far=10.0),
    "zoedepth-two-heads": MadeFor(train_size=(64, 96), near=0.001, far=80.0),
    "depth-pro": MadeFor(train_size=(112, 112)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_every_family_says_what_its_files_tell(model: Folder, tmp_path: Path, name: str) -> None:
    shutil.copytree(model(name), tmp_path / "net")
    assert kdcli.load_model(f"teacher:hf:{tmp_path / 'net'}").made_for == KNOWN[name]


@pytest.mark.parametrize(
    ("folder", "options", "domain", "far"),
    [
        ("Depth-Anything-V2-Metric-Hypersim-Small-hf", "", "indoor", 20.0),
        ("Depth-Anything-V2-Metric-VKITTI-Small-hf", ",max_depth=80", "driving", 80.0),
        ("depth-anything-metric-outdoor", "", "driving", 20.0),
        ("both-nyu-kitti", "", "any", 20.0),
        ("mine", ",max_depth=80", "driving", 80.0),
        ("mine", ",max_depth=40", "any", 40.0),
        ("nyu/mine", ",max_depth=40", "any", 40.0),  # where it lies tells nothing
    ],
)
def test_names_and_range_tell_the_scenes(
    model: Folder, tmp_path: Path, folder: str, options: str, domain: str, far: float
) -> None:
    shutil.copytree(model("depth-anything-metric"), tmp_path / folder)
    made = kdcli.load_model(f"teacher:hf:{tmp_path / folder}{options}").made_for
    assert isinstance(made, MadeFor) and (made.domain, made.far, made.train_size) == (domain, far, (70, 70))
