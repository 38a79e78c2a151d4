"""Images of which only some have depth: batches without any teach nothing, and end nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trees import partly, photos

from kdcli.choosing import choose
from kdcli.sources import load_source
from kdcli.training.batches.feed import Feed
from kdcli.training.batches.kept_images import KeptImages
from kdcli.training.run.folder import RunFolder
from kdcli.training.run.job import distill

CPU = torch.device("cpu")


@pytest.mark.parametrize("kept", [None, KeptImages()], ids=["decoded", "kept"])
def test_a_batch_without_depth_has_an_empty_map(tmp_path: Path, kept: KeptImages | None) -> None:
    source = load_source(partly(tmp_path, 8, range(2)))
    feed = Feed(source, batch_size=2, size=(32, 64), seed=0, device=CPU, kept=kept)
    found = {name: i for batch in feed.batches(0, 4) for name, i in zip(batch.ids, _labelled(batch), strict=True)}
    assert len(found) == 8 and sum(found.values()) == 2


def _labelled(batch: object) -> list[bool]:
    depth, valid, labelled = (getattr(batch, name) for name in ("depth", "valid", "labelled"))
    assert depth.shape == valid.shape == (2, 1, 32, 64)
    assert valid.flatten(1).any(1).tolist() == labelled.tolist()
    return labelled.tolist()


def test_a_source_without_depth_has_none(tmp_path: Path) -> None:
    feed = Feed(load_source(photos(tmp_path, 4)), batch_size=2, size=(32, 64), seed=0, device=CPU)
    assert all(batch.depth is None for batch in feed.batches(0, 2))


def test_a_supervised_run_passes_over_them(tmp_path: Path) -> None:
    given = {
        "data": partly(tmp_path / "data", 8, range(2)), "size": (32, 64), "batch_size": 2, "steps": 4,
        "student": "mobilenet,width=0.35", "eval_data": None,
    }
    config = choose("supervised", given, ["export=none", "log_every=1"]).config
    distill(config, out=tmp_path / "run")
    losses = [row["loss"] for row in RunFolder(tmp_path / "run").metrics()]
    assert len(losses) == 4 and sum(loss > 0 for loss in losses) in (1, 2)
    assert all(torch.isfinite(torch.tensor(losses)))
