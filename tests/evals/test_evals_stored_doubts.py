"""Predictions that are something else than was said of them: measured as said, and doubted aloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evals_trees import picture, predict, tree
from PIL import Image
from torch.nn import functional as F

from kdcli.errors import ConfigError, DataError
from kdcli.evals import evaluate
from kdcli.evals.baseline import load
from kdcli.evals.reference import Reference

Array = np.ndarray[Any, Any]
SIZE = (48, 64)


def near(factor: float = 1.0) -> Any:
    """Return a writer of the true depth times a factor, a little off."""
    def write(path: Path, _: Array) -> None:
        np.save(path, factor * _truth(path))
    return write


def _truth(path: Path) -> Array:
    return picture(int(path.stem) - 1)[1].numpy() * np.linspace(0.95, 1.15, SIZE[1], dtype=np.float32)


def notes(folder: Path, options: str, root: Path) -> list[str]:
    source = tree(root / "set")
    return list(evaluate({"f": load(f"predictions:{folder},{options}", "cpu")}, source)["f"].notes)


@pytest.mark.parametrize(
    ("write", "options", "part"),
    [
        (near(), "kind=metric", None),
        (near(), "kind=scale_invariant", None),
        (near(1.9), "kind=metric", None),
        (near(1000), "kind=metric", "times the truth in the middle of images; if that is the unit, give scale=1000"),
        (near(0.01), "kind=metric", "its depth is 0.0105 times the truth"),
        (near(1000), "kind=metric,scale=256", "its depth is 4.1 times the truth in the middle of images; if that is "
         "the unit, give scale=1000 (with which it is 1.0"),
        (lambda p, _: np.save(p, 1 / _truth(p)), "kind=affine_depth", "the larger the nearer things are (rank correl"),
        (lambda p, _: np.save(p, 1 / _truth(p)), "kind=metric", "is read as metric; is it kind=affine_disparity?"),
        (lambda p, _: np.save(p, -_truth(p)), "kind=scale_invariant", "is it kind=affine_disparity?"),
        (near(), "kind=affine_disparity", "larger the farther things are (rank correlation 0.99), and it is read as "
         "affine_disparity; is it kind=affine_depth, scale_invariant or metric?"),
        (lambda p, _: np.save(p, 1 / _truth(p)), "kind=affine_disparity", None),
        (lambda p, _: np.save(p, _truth(p).T), "kind=metric", "4 of its maps have height and width of their pictures"),
        (lambda p, v: np.save(p, v), "kind=metric", None),
        (lambda p, v: np.save(p, np.full_like(v, 3)), "kind=affine_disparity", None),
    ],
)  # fmt: skip
def test_what_looks_like_something_else_is_said(tmp_path: Path, write: Any, options: str, part: str | None) -> None:
    told = notes(predict(tmp_path / "out", write, ".npy"), options, tmp_path)
    assert [part in one for one in told] == [True] if part else told == [], told


def test_a_single_odd_image_is_no_sign(tmp_path: Path) -> None:
    def one_of_four(path: Path, _: Array) -> None:
        np.save(path, _truth(path) * (1000 if path.stem == "0001" else 1))

    assert notes(predict(tmp_path / "out", one_of_four, ".npy"), "kind=metric", tmp_path) == []


def test_what_is_counted_begins_anew_with_each_set(tmp_path: Path) -> None:
    model = load(f"predictions:{predict(tmp_path / 'out', near(1000), '.npy')},kind=metric", "cpu")
    source = tree(tmp_path / "set")
    told = [evaluate({"f": model}, source)["f"].notes for _ in range(2)]
    assert told[0] == told[1] and len(told[0]) == 1


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("kind=affine_depth,codec=disparity", "codec 'disparity' is disparity, and kind=affine_depth is depth"),
        ("kind=affine_disparity,codec=metres", "codec 'metres' is of depth, and kind=affine_disparity is inverse"),
    ],
)
def test_a_kind_and_an_encoding_that_contradict_each_other_are_refused(
    tmp_path: Path, options: str, part: str
) -> None:
    with pytest.raises(ConfigError, match=part):
        load(f"predictions:{predict(tmp_path / 'out', near(), '.npy')},{options}", "cpu")


def test_disparity_comes_to_the_pictures_size_before_it_becomes_depth(tmp_path: Path) -> None:
    """As monodepth2 and those after it do: of a mean of disparities the inverse, not the mean of inverses."""
    source = tree(tmp_path / "set")
    folder = predict(tmp_path / "out", lambda p, _: np.save(p, 3 / _truth(p)[::4, ::4]), ".npy")
    metric = load(f"predictions:{folder},codec=disparity,kind=metric,focal_baseline=3", "cpu")
    scaled = load(f"predictions:{folder},codec=disparity,kind=scale_invariant", "cpu")
    found = evaluate({"metric": metric, "scaled": scaled}, source)
    for row, name in enumerate(("0001", "0002")):
        true = picture(row)[1].numpy()
        small = torch.from_numpy(np.load(folder / f"{name}.npy"))[None, None]
        depth = 3 / F.interpolate(small, SIZE, mode="bilinear", align_corners=False)[0, 0].numpy()
        expected = np.mean(np.abs(depth - true) / true)
        assert found["metric"].values[row, 0] == pytest.approx(expected, rel=1e-5)
        depth *= np.median(true) / np.median(depth)
        assert found["scaled"].values[row, 0] == pytest.approx(np.mean(np.abs(depth - true) / true), rel=1e-5)


def test_no_disparity_is_infinitely_far_in_floats_and_none_in_whole_numbers(tmp_path: Path) -> None:
    def half(path: Path, _: Array) -> None:
        disparity = 40 / _truth(path)
        disparity[:24] = 0
        if path.suffix == ".npy":
            np.save(path, disparity)
        else:
            Image.fromarray((256 * disparity).round().astype(np.uint16)).save(path)

    source, options = tree(tmp_path / "set"), "kind=metric,focal_baseline=40"
    floats, whole = predict(tmp_path / "a", half, ".npy"), predict(tmp_path / "b", half, ".png")
    found = evaluate({"a": load(f"predictions:{floats},codec=disparity,{options}", "cpu"),
                      "b": load(f"predictions:{whole},codec=kitti-disparity,{options}", "cpu")}, source)
    assert found["a"].pixels[0] == 48 * 64 and found["b"].pixels[0] == 24 * 64
    assert found["a"].metrics["abs_rel"] > 5 and found["b"].metrics["abs_rel"] < 0.2


def test_no_prediction_is_too_far_to_be_measured(tmp_path: Path) -> None:
    """A source takes a number from 100 km on for a mark of none; a prediction of it is a large error."""
    def far(path: Path, _: Array) -> None:
        depth = _truth(path)
        depth[:24] = 1e6
        np.save(path, depth)

    found = evaluate({"f": load(f"predictions:{predict(tmp_path / 'out', far, '.npy')},kind=metric", "cpu")},
                     tree(tmp_path / "set"))["f"]
    assert found.pixels.tolist() == [48 * 64] * 4 and found.metrics["abs_rel"] > 5
    whole = load(f"predictions:{predict(tmp_path / 'far', near(1e6), '.npy')},kind=scale_invariant", "cpu")
    assert evaluate({"f": whole}, tree(tmp_path / "set"))["f"].metrics["abs_rel"] < 0.1


def test_an_archive_of_several_arrays_leads_to_key(tmp_path: Path) -> None:
    folder = predict(tmp_path / "out", lambda p, v: np.savez(p, a=v, b=v), ".npz")
    with pytest.raises(DataError, match=r"has arrays a, b but no 'depth'.*; key= says which array is meant"):
        load(f"predictions:{folder},kind=metric", "cpu")


def test_against_a_teacher_without_a_unit_no_unit_is_doubted(tmp_path: Path) -> None:
    source = tree(tmp_path / "set")
    teacher = Reference(model=load(f"predictions:{tmp_path}/set/depth,kind=scale_invariant", "cpu"), name="t")
    far = load(f"predictions:{predict(tmp_path / 'far', near(1000), '.npy')},kind=metric", "cpu")
    swapped = predict(tmp_path / "near", lambda p, _: np.save(p, 1 / _truth(p)), ".npy")
    found = evaluate({"far": far, "near": load(f"predictions:{swapped},kind=metric", "cpu")}, source, "fidelity",
                     against=teacher)  # fmt: skip
    assert found["far"].notes == () and "the larger the nearer" in found["near"].notes[0]


def test_an_image_that_the_teacher_on_disk_lacks_is_said_to_lack_it(tmp_path: Path) -> None:
    source = tree(tmp_path / "set")
    folder = predict(tmp_path / "out", near(), ".npy", ids=("0001", "0002", "0004"))
    teacher = Reference(model=load(f"predictions:{folder},kind=metric", "cpu"), name="t")
    student = load(f"predictions:{tmp_path}/set/depth,kind=metric", "cpu")
    found = evaluate({"s": student}, source, "fidelity", against=teacher)["s"]
    assert [(one.id, one.reason) for one in found.skipped] == [
        ("0003.png", f"there is no prediction of it in '{folder}'")
    ]
