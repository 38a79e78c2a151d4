"""Runs of a study that fit the same transformation network fit it once, and are what they would be alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from study_text import TINY, Told

from kdcli.claims import Claims
from kdcli.study import Study
from kdcli.study.cells import jobs
from kdcli.study.fits import fit_of
from kdcli.study.queue import Queue
from kdcli.study.run import run_study

FITTING = """
[[arm]]
name = "fits"
recipe = "data-free"
set = { mixers = [], "fit.steps" = 2 }

[[arm]]
name = "other-losses"
recipe = "data-free"
set = { mixers = [], "fit.steps" = 2, losses = { silog = 1.0 } }

[[arm]]
name = "other-fit"
recipe = "data-free"
set = { mixers = [], "fit.steps" = 2, "fit.content" = 0.5 }
"""
Resolve = Callable[..., Study]


@pytest.fixture
def fitting(tiny: Resolve) -> Resolve:
    return partial(tiny, text=TINY + FITTING)


def test_a_network_is_fitted_once_for_all_runs_that_fit_the_same(fitting: Resolve, tmp_path: Path) -> None:
    arms = ["fits", "other-losses", "other-fit"]
    together, told = tmp_path / "together", Told()
    assert run_study(fitting(only=arms, seeds=[0]), together, progress=told, teachers=False).ran == 3
    assert sum("fitting the transformation network" in note for note in told.notes) == 2
    taken = f"the transformation network that '{together}/cells/fits/n4/seed0' fitted is this run's too"
    assert sum(taken in note for note in told.notes) == 1
    runs = {arm: together / "cells" / arm / "n4" / "seed0" for arm in arms}
    networks = {arm: (run / "transform.safetensors").read_bytes() for arm, run in runs.items()}
    assert networks["fits"] == networks["other-losses"] != networks["other-fit"]
    for name in ("transform-images.png", "transform-layers.png"):
        there = runs["fits"] / name
        assert not there.is_file() or (runs["other-losses"] / name).read_bytes() == there.read_bytes()

    alone = Told()
    run_study(fitting(only=["other-losses"], seeds=[0]), tmp_path / "alone", progress=alone, teachers=False)
    assert any("fitting the transformation network" in note for note in alone.notes)
    by_itself = load_file(tmp_path / "alone" / "cells" / "other-losses" / "n4" / "seed0" / "student.safetensors")
    taken_over = load_file(runs["other-losses"] / "student.safetensors")
    assert all(torch.equal(value, by_itself[name]) for name, value in taken_over.items())


def test_what_a_fit_depends_on_tells_networks_apart(fitting: Resolve, tmp_path: Path) -> None:
    found = {(job.cell.arm, job.cell.seed): job for job in jobs(fitting(), tmp_path)}
    fits = found["fits", 0]
    assert fits.fits_alike == (found["other-losses", 0].folder,)
    assert found["other-fit", 0].fits_alike == found["plain", 0].fits_alike == ()
    assert fit_of(found["fits", 1].cell.config) != fit_of(fits.cell.config) is not None
    assert fit_of(found["plain", 0].cell.config) is None


def test_where_more_than_the_stage_decides_each_run_fits_its_own(fitting: Resolve, tmp_path: Path) -> None:
    config = next(job.cell.config for job in jobs(fitting(), tmp_path) if job.cell.arm == "fits")
    fit, distil = config.stages
    assert fit_of(replace(config, holdout=0.2)) is None
    assert fit_of(replace(config, stages=(fit, replace(distil, transform="joint")))) is None
    assert fit_of(replace(config, stages=(distil, fit, replace(distil, name="last")))) is None


def test_a_run_whose_network_another_is_fitting_comes_later(fitting: Resolve, tmp_path: Path) -> None:
    study = fitting(only=["fits", "other-losses"])
    todo = [job for job in jobs(study, tmp_path) if job.wanted]
    with Claims(tmp_path / "claims") as claims:
        queue = Queue(todo, study, tmp_path, claims, Told())
        taken = [queue.take() for _ in range(4)]
    order = [(job.cell.arm, job.cell.seed) for job in taken if job is not None]
    assert order == [("fits", 0), ("fits", 1), ("other-losses", 0), ("other-losses", 1)]

    network = tmp_path / todo[0].folder / "transform.safetensors"
    network.parent.mkdir(parents=True)
    network.touch()
    with Claims(tmp_path / "others") as claims:
        queue = Queue(todo[1:], study, tmp_path, claims, Told())
        (first, *_) = [queue.take() for _ in range(3)]
    assert first is not None and (first.cell.arm, first.cell.seed) == ("other-losses", 0)


def test_runs_are_listed_without_torch() -> None:
    told = "import sys, kdcli.study.estimate; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
