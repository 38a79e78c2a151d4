"""Predictions of whole pictures under protocols that cut: the same numbers as of a network that is shown the cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evals_doubles import Answers
from evals_trees import predict, tree

from kdcli.errors import ConfigError
from kdcli.evals import evaluate
from kdcli.evals.baseline import load
from kdcli.evals.crops import Box, Frame
from kdcli.evals.protocol import find

SIZE = (48, 64)
IDS = ("a", "b")


def brightness(image: torch.Tensor) -> torch.Tensor:
    return 0.5 + 9 * image.mean(1, keepdim=True)


FRAMES = {
    "cut": Frame(height=40, width=60, bottom=True),
    "pasted": Frame(height=40, width=60, bottom=True, paste=True),
    "centre": Frame(height=31, width=33),
}


@pytest.mark.parametrize("name", FRAMES)
def test_cuts_without_resizing_are_exact(tmp_path: Path, name: str) -> None:
    source = tree(tmp_path / "set", ids=IDS, size=SIZE)
    rules = replace(find("plain"), frame=FRAMES[name], crop=Box(rows=(0.3, 0.9), columns=(0.1, 0.9)))
    model = load(f"predictions:{predict(tmp_path / 'out', np.save, '.npy', ids=IDS)},kind=metric", "cpu")
    for align in (None, "median", "scale-shift"):
        found = evaluate({"files": model, "live": Answers(brightness)}, source, rules, align=align)
        assert torch.allclose(found["files"].values, found["live"].values, rtol=1e-4, atol=1e-6), align
        assert found["files"].pixels.tolist() == found["live"].pixels.tolist()


@pytest.mark.parametrize(
    "changes",
    [{"band": 0.5}, {"band": 0.5, "frame": Frame(height=20, width=60)},
     {"frame": Frame(height=16, width=20, short_side=24)}, {"frame": Frame(height=32, width=32, stretch=True)},
     {"frame": Frame(height=16, width=20, short_side=24, then=(12, 12), sampling="nearest")}],
    ids=["band", "band and cut", "shrunk", "stretched", "shrunk and more"],
)  # fmt: skip
def test_other_cuts_show_the_same_part(tmp_path: Path, changes: dict[str, object]) -> None:
    """A prediction that is the ground truth stays it, however both are cut, where maps are resized alike."""
    source = tree(tmp_path / "set", ids=IDS, size=SIZE)
    rules = replace(find("plain+nearest"), **changes)  # type: ignore[arg-type]
    model = load(f"predictions:{tmp_path}/set/depth,kind=metric", "cpu")
    found = evaluate({"files": model}, source, rules)["files"]
    assert found.n == 2 and found.metrics["abs_rel"] < 1e-6


def test_holes_do_not_leak_into_a_cut(tmp_path: Path) -> None:
    source = tree(tmp_path / "set", ids=IDS, size=SIZE)

    def holed(path: Path, numbers: np.ndarray) -> None:  # type: ignore[type-arg]
        numbers[::3] = np.nan
        np.save(path, numbers)

    model = load(f"predictions:{predict(tmp_path / 'out', holed, '.npy', ids=IDS)},kind=metric", "cpu")
    found = evaluate({"files": model}, source, replace(find("plain"), frame=FRAMES["pasted"]))["files"]
    # Rows 8..47 are shown, of which 27 are no multiples of three; what is around the cut is pasted and counted.
    assert found.pixels.tolist() == [27 * 60 + 48 * 64 - 40 * 60] * 2


def test_a_missing_prediction_is_not_measured_around_the_cut(tmp_path: Path) -> None:
    source = tree(tmp_path / "set", ids=IDS, size=SIZE)
    folder = predict(tmp_path / "out", np.save, ".npy", ids=IDS[:1])
    model = load(f"predictions:{folder},kind=metric", "cpu")
    found = evaluate({"files": model}, source, replace(find("plain"), frame=FRAMES["pasted"]))["files"]
    assert found.ids == ("a.png",) and "no prediction of it" in found.skipped[0].reason


def test_predictions_of_the_size_of_the_cut_leave_a_doubt_that_is_asked_about(tmp_path: Path) -> None:
    source = tree(tmp_path / "set", ids=IDS, size=SIZE)
    rules = replace(find("plain"), frame=FRAMES["cut"])
    folder = predict(tmp_path / "out", lambda p, v: np.save(p, v[8:, 2:62]), ".npy", ids=IDS)
    with pytest.raises(ConfigError, match="40x60, the size that protocol 'plain' cuts out of 48x64; add of=cut"):
        evaluate({"f": load(f"predictions:{folder},kind=metric", "cpu")}, source, rules)
    found = evaluate({"f": load(f"predictions:{folder},kind=metric,of=cut", "cpu"), "m": Answers(brightness)}, source,
                     rules)
    assert torch.allclose(found["f"].values, found["m"].values, rtol=1e-5)
    whole = evaluate({"f": load(f"predictions:{folder},kind=metric,of=picture", "cpu")}, source, rules)["f"]
    assert not torch.allclose(whole.values, found["f"].values, rtol=1e-3)


def test_a_half_of_the_cut_is_as_doubtful_as_the_cut(tmp_path: Path) -> None:
    """Networks often write maps of half the size of what they are shown."""
    source = tree(tmp_path / "set", ids=IDS, size=SIZE)
    rules = replace(find("plain"), frame=Frame(height=40, width=60, bottom=True))
    half = predict(tmp_path / "half", lambda p, v: np.save(p, v[8::2, 2:62:2]), ".npy", ids=IDS)
    with pytest.raises(ConfigError, match="predictions of 20x30, 1/2 of the size that protocol 'plain' cuts out"):
        evaluate({"f": load(f"predictions:{half},kind=metric", "cpu")}, source, rules)
    assert evaluate({"f": load(f"predictions:{half},kind=metric,of=cut", "cpu")}, source, rules)["f"].n == 2
    whole = predict(tmp_path / "whole", lambda p, v: np.save(p, v[::2, ::2]), ".npy", ids=IDS)
    assert evaluate({"f": load(f"predictions:{whole},kind=metric", "cpu")}, source, rules)["f"].n == 2
