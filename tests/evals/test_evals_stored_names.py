"""Which prediction is whose: the ways in which tools name what they write."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from evals_doubles import Answers
from evals_trees import predict, said, tree

from kdcli.evals import evaluate
from kdcli.evals.baseline import load
from kdcli.evals.stored.files import Stored
from kdcli.evals.stored.matching import by_names, match

KITTI = ("2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png",
         "2011_09_26/2011_09_26_drive_0009_sync/image_02/data/0000000069.png")  # fmt: skip
NYU = ("bathroom/rgb_00045.jpg", "kitchen/rgb_00045.jpg", "kitchen/rgb_00046.jpg")


def files(*names: str) -> dict[str, Stored]:
    return {name: Stored(path=Path(f"/out/{name}.npy")) for name in names}


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (("a.png", "b.jpg"), ("a", "b")),
        (("a.png", "b.jpg"), ("a_pred", "b_pred")),
        (("rgb/001.png", "rgb/002.png"), ("001_depth", "002_depth")),
        (("x/1.png", "y/1.png"), ("x/1", "y/1")),
        (("a.png", "b.png"), ("a-dpt_beit_large_512", "b-dpt_beit_large_512")),
        (("1305031102.175304.png", "1305031102.211214.png"), ("1305031102.175304", "1305031102.211214")),
        (NYU, ("bathroom_rgb_00045", "kitchen_rgb_00045", "kitchen_rgb_00046")),
        (KITTI, ("2011_09_26_drive_0002_sync_0000000069", "2011_09_26_drive_0009_sync_0000000069")),
        (KITTI, tuple(name.removesuffix(".png").replace("/", "_") for name in KITTI)),
        (("a.png", "b.png"), ("a.depth", "b.depth")),
    ],
)
def test_names_of_tools(ids: tuple[str, ...], names: tuple[str, ...]) -> None:
    stored = files(*names)
    assert by_names(ids, stored) == {image: stored[name] for image, name in zip(ids, names, strict=True)}


def test_what_may_belong_to_two_images_belongs_to_none() -> None:
    assert by_names(("x/a_1.png", "y/a_1.png"), files("a_1")) == {}
    assert by_names(("a.png", "a.jpg"), stored := files("a")) == dict.fromkeys(("a.png", "a.jpg"), stored["a"])


def test_the_photograph_that_a_sidecar_names_decides(tmp_path: Path) -> None:
    pairs = [SimpleNamespace(id=f"{name}.png", image=tmp_path / "rgb" / f"{name}.png") for name in ("a", "b")]
    stored = {
        "a": Stored(path=Path("1.npy"), told=(1, 0), input=str(tmp_path / "rgb" / "b.png")),
        "z": Stored(path=Path("2.npy"), told=(1, 0), input=str(tmp_path / "rgb" / ".." / "rgb" / "a.png")),
    }
    found = match(SimpleNamespace(pairs=pairs), stored, "name", "out")
    assert found == {"a.png": stored["z"], "b.png": stored["a"]}


def test_by_order_names_do_not_matter(tmp_path: Path) -> None:
    source = tree(tmp_path / "set", ids=("x9", "x10", "x11"))
    folder = predict(tmp_path / "out", np.save, ".npy", ids=("0", "1", "2"))
    live = evaluate({"m": Answers(lambda image: 0.5 + 9 * image.mean(1, keepdim=True))}, source)["m"]
    found = evaluate({"f": load(f"predictions:{folder},kind=metric,by=order", "cpu")}, source)["f"]
    assert found.ids == ("x9.png", "x10.png", "x11.png") and np.allclose(found.values, live.values, rtol=1e-5)


def test_numbers_are_taken_before_pictures_of_the_same_name(tmp_path: Path) -> None:
    source = tree(tmp_path / "set", ids=("a", "b"))
    folder = predict(tmp_path / "out", np.save, ".npy", ids=("a", "b"))
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(b"a picture for the eye")
    assert evaluate({"f": load(f"predictions:{folder},kind=metric", "cpu")}, source)["f"].n == 2


def test_a_part_of_a_set_is_found_too(tmp_path: Path) -> None:
    from kdcli.sources import load_source

    tree(tmp_path / "set", ids=("a", "b", "c"))
    folder = predict(tmp_path / "out", np.save, ".npy", ids=("a", "b", "c"))
    part = load_source(f"folder:{tmp_path}/set/rgb,depths={tmp_path}/set/depth,start=1")
    found = evaluate({"f": load(f"predictions:{folder},kind=metric", "cpu")}, part)["f"]
    assert found.ids == ("b.png", "c.png") and found.notes == () and not np.allclose(said(0), said(1))
