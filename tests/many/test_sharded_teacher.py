"""A teacher shared out among processes says what a whole one says, and each holds a part of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from started import TINY, apart, started
from torch import nn

from kdcli.config import load
from kdcli.errors import ConfigError
from kdcli.many.group import Group
from kdcli.many.sharded import _refuse_gradient, share_out
from kdcli.recipes import read
from kdcli.training.run.sharing import check_sharing

GROUP = Group(rank=0, size=2)
SHARES = str(Path(__file__).with_name("shares_teachers.py"))


def test_shared_out_and_whole_say_the_same(tmp_path: Path) -> None:
    said = started(2, SHARES, "demo", "attentive", folder=tmp_path)
    (line,) = [line for line in said.splitlines() if line.startswith("[{")]
    for told in json.loads(line):
        for name, found in told.items():
            assert found["apart"] < 1e-6 and found["features"] < 1e-5, (name, found)
            assert 0.49 < found["share"] < 0.53 and found["blocks"] >= 3, (name, found)
            assert not found["learns"] and not found["trains"]


@pytest.mark.slow(share=0.5)
def test_a_student_of_a_shared_out_teacher_is_that_of_a_whole_one(tmp_path: Path) -> None:
    told_all = [word for word in TINY if word != "-q"]
    run = ("-m", "kdcli", *told_all, "--steps", "3", "--recipe", "plain", "--data", "sim:blocks,count=8", "--twin",
           "--eval-data", "sim:rooms,count=3")
    for name, told in (("whole", ()), ("shared", ("--set", "shard_teacher=true"))):
        said = started(2, *run, *told, "--out", name, folder=tmp_path)
    assert apart(tmp_path / "whole", tmp_path / "shared") < 1e-5
    assert "each process holds 10.3 MiB of the teachers' parameters, and all of their 0.0 MiB of buffers" in said
    measured = [set(json.loads((tmp_path / n / "eval" / "results.json").read_text())) for n in ("whole", "shared")]
    assert measured == [{"teacher", "student"}, {"student"}]


def test_what_cannot_be_shared_out_is_refused() -> None:
    class Elsewhere(nn.Module):
        """A network whose weights another runtime holds."""

    with pytest.raises(ConfigError, match=r"teacher 'onnx:a\.onnx' has no parameters of PyTorch"):
        share_out(Elsewhere(), "onnx:a.onnx", GROUP, torch.device("cpu"))


@pytest.mark.parametrize(("recipe", "said", "why"), [
    ("plain", "teacher_cache=memory", "teacher_cache=memory of stage 'distill'.* use teacher_cache=none"),
    ("plain", "holdout=0.1", "holdout=0.1.* use --set holdout=0"),
    ("data-free", "transform=fitted", "stage 'fit', which the first process fits alone.* use --transform none"),
    ("data-free", "transform=joint", "transform=joint of stage 'distill'.* use --transform none"),
])
def test_what_one_process_does_alone_is_refused(recipe: str, said: str, why: str) -> None:
    flags = dict([said.split("=")]) if said.startswith("transform") else {}
    settings = ("shard_teacher=true", *(() if flags else (said,)))
    config = load(*read(recipe), {"data": "sim:blocks,count=8", **flags}, settings)
    with pytest.raises(ConfigError, match=why):
        check_sharing(config, GROUP)
    check_sharing(config, None)


def test_gradients_through_a_shared_out_teacher_are_refused() -> None:
    image = torch.zeros(1, 3, 8, 8, requires_grad=True)
    with torch.no_grad():
        _refuse_gradient(nn.Identity(), (image,))
    _refuse_gradient(nn.Identity(), (image.detach(),))
    with pytest.raises(ConfigError, match="leave shard_teacher out"):
        _refuse_gradient(nn.Identity(), (image,))
