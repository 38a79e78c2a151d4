"""Sizes that cannot be are refused by arithmetic, in one line, and those that people use are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdcli.config import RunConfig, load, sizes
from kdcli.errors import ConfigError, KdcliError
from kdcli.networks.heads import bin_centers
from kdcli.sources import load_source
from kdcli.spec import parse_size
from kdcli.study import plan

RECIPE = """
[[stage]]
name = "train"
teachers = ["ground-truth"]
data = "sim:blocks"
losses = { l1 = 1.0 }
steps = 4
"""

STUDY = """
[study]
eval_data = "sim:rooms,count=5"
seeds = [SEEDS]
counts = [COUNTS]
recipe = "plain"
set = { data = "sim:blocks,count={count}" }
[[arm]]
name = "plain"
"""


def resolve(setting: str) -> RunConfig:
    return load("tiny", RECIPE, {}, [setting])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("batch_size=100000000", "GiB of images of 96x128"), ("size=100000x100000", "16384 pixels a side"),
        ("size=[100000, 100000]", "16384 pixels a side"), ("workers=100000", "write at most"),
        ("steps=1000000000000000000", "beyond 100,000,000"), ("epochs=1000000000", "beyond"),
        ("log_every=1000000000000", "beyond"), ("checkpoint_every=1000000000000", "beyond"),
        ("accumulate=1000000", "beyond"), ("network_width=1000000", "beyond"), ("network_layers=1000000", "beyond"),
        ("batch_size=1" + "0" * 30, "whole number"),
    ],
)  # fmt: skip
def test_sizes_that_cannot_be(setting: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(setting)
    assert words in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "setting",
    ["batch_size=256", "size=1216x352", "size=2160x3840", "workers=32", "steps=10000000", "accumulate=512",
     "log_every=1000000", "epochs=1000"],
)  # fmt: skip
def test_sizes_that_people_use(setting: str) -> None:
    resolve(setting)


def test_a_batch_must_fit_into_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "memory", lambda: 2**30)
    resolve("batch_size=1000")
    with pytest.raises(ConfigError, match="this machine, with 1 GiB, has room for"):
        resolve("batch_size=10000")


@pytest.mark.parametrize(
    "spec", ["sim:rooms,count=1000000000000", "sim:rooms,count=1" + "0" * 40, "sim:rooms,seed=1" + "0" * 40]
)
def test_counts_that_cannot_be(spec: str) -> None:
    with pytest.raises(KdcliError, match=r"too large|64 bits"):
        load_source(spec)


@pytest.mark.parametrize("text", ["100000x100000", "9" * 5000 + "x1", "0x4", "x", "1x" + "9" * 41])
def test_sizes_in_specs(text: str) -> None:
    with pytest.raises(KdcliError) as caught:
        parse_size(text)
    assert len(str(caught.value)) < 200


def test_bins() -> None:
    assert len(bin_centers(0.1, 10.0, 4096, "log")) == 4096
    with pytest.raises(ConfigError, match="beyond 4096"):
        bin_centers(0.1, 10.0, 10**9, "log")


def test_a_study_without_end() -> None:
    many = ", ".join(map(str, range(1, 30_001)))
    text = STUDY.replace("SEEDS", many).replace("COUNTS", many)
    with pytest.raises(ConfigError, match="comes to 900,000,000 runs"):
        plan(text, source=Path("endless.toml"))


def test_epochs_of_a_source_without_end() -> None:
    with pytest.raises(ConfigError, match="beyond 100,000,000"):
        sizes.check_steps(10**9, "epochs=1 of stage 'train'")


@pytest.mark.parametrize("name", ["../../out", "a/b", "", "a" * 61, ".hidden", "a\\b", "a b"])
def test_names_of_stages_are_names_of_files(name: str) -> None:
    with pytest.raises(ConfigError, match="stage name"):
        load("tiny", RECIPE.replace('"train"', repr(name)), {}, [])


@pytest.mark.parametrize(
    "text", ["a\tb", "a\x1b[31mb", 'say "x"', "back\\slash", "\x7f", "two\nlines", "\u00e4\U0001f600"]
)
def test_texts_come_back_from_a_dumped_recipe(text: str) -> None:
    from kdcli.config import dump

    config = load("tiny", RECIPE, {"about": text}, [])
    assert load("tiny", dump(config)).about == text
