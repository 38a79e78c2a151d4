"""Which prediction is whose: the ways in which tools name what they write."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from evals_doubles import Answers
from evals_trees import predict, said, tree

from kdcli.errors import DataError
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
        (NYU, ("bathroom_rgb_00045_pred", "kitchen_rgb_00045_pred", "kitchen_rgb_00046_pred")),
        (NYU, ("bathroom_rgb_00045-dpt_large", "kitchen_rgb_00045-dpt_large", "kitchen_rgb_00046-dpt_large")),
        (KITTI, ("2011_09_26_drive_0002_sync_0000000069", "2011_09_26_drive_0009_sync_0000000069")),
        (KITTI, tuple(name.removesuffix(".png").replace("/", "_") for name in KITTI)),
        (("a.png", "b.png"), ("a.depth", "b.depth")),
        (("train-000000/x/1", "train-000000/y/1", "train-000001/y/2"), ("x/1", "y/1", "y/2")),
        (("x/1.png", "y/1.png"), ("run3/out/x/1", "run3/out/y/1")),
    ],
)
def test_names_of_tools(ids: tuple[str, ...], names: tuple[str, ...]) -> None:
    stored = files(*names)
    assert by_names(ids, stored) == {image: stored[name] for image, name in zip(ids, names, strict=True)}


def test_what_may_belong_to_two_images_belongs_to_none() -> None:
    assert by_names(("x/a_1.png", "y/a_1.png"), files("a_1")) == {}
    # Two folders of one tool, the numbers and their picture: neither is more meant than the other.
    twice = files("npy/bathroom_rgb_00045", "bw/bathroom_rgb_00045", "npy/kitchen_rgb_00045", "bw/kitchen_rgb_00045")
    assert by_names(NYU, twice) == {}
    assert by_names(("x/1.png", "y/1.png"), files("run3/x/1", "run4/x/1", "run3/y/1", "run4/y/1")) == {}
    assert by_names(("s/x/1", "t/x/1"), files("x/1")) == {}
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


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        (("x", "y"), "give them the images' names, or add by=order"),
        (("sharp/a_pred", "bw/a_pred", "sharp/b_pred", "bw/b_pred"),
         r"there are more than images: give the one of its folders that is meant \(sharp, bw\)"),
        (("a_depth", "a_disp", "b_depth", "b_disp"), "there are more than images: keep those that are meant, under"),
    ],
)  # fmt: skip
def test_what_fits_no_image_leads_on(names: tuple[str, ...], advice: str) -> None:
    pairs = [SimpleNamespace(id=f"{name}.png", image=Path(f"/in/{name}.png")) for name in ("a", "b")]
    with pytest.raises(DataError, match=f"is called like an image of source 'set'.*; {advice}"):
        match(SimpleNamespace(pairs=pairs, name="set"), files(*names), "name", "out")


def test_an_encoding_takes_the_files_that_it_is_usually_in(tmp_path: Path) -> None:
    """Beside what they predict, tools copy the photograph or draw a picture."""
    source = tree(tmp_path / "set", ids=("a", "b"))
    folder = predict(tmp_path / "out", np.save, ".npy", ids=("a_depth", "b_depth"))
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes((tmp_path / "set" / "rgb" / f"{name}.png").read_bytes())
    with pytest.raises(DataError, match=r"mode RGB.*; the folder has \.npy, \.png: codec= takes only those of its own"):
        load(f"predictions:{folder},kind=metric", "cpu")
    assert evaluate({"f": load(f"predictions:{folder},codec=metres", "cpu")}, source)["f"].n == 2


def test_names_that_are_counted_otherwise_are_said_to_be(tmp_path: Path) -> None:
    source = tree(tmp_path / "set", ids=("1", "2", "3"))
    folder = predict(tmp_path / "out", np.save, ".npy", ids=("0", "1", "2"))
    found = evaluate({"f": load(f"predictions:{folder},kind=metric", "cpu")}, source)["f"]
    assert found.n == 2 and any("1 of 3 files belong to no image; they are as many as the images: where they are only "
                                "counted otherwise, add by=order" in note for note in found.notes)
