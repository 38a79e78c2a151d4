"""One expert an image: easy ones by the first teacher, hard ones by the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from kdcli.maps import masked_mean, widen
from kdcli.protocols import API_VERSION, StepContext
from kdcli.types import POSITIVE_DEPTH, Needs


class Expert:
    """The images of a batch, in the order of how hard they were last time, in as many shares as there are teachers."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=POSITIVE_DEPTH, teachers=(2, None))
    value_at_equality = float("nan")
    invariances: frozenset[str] = frozenset()
    exempt: ClassVar[Mapping[str, str]] = {
        "duplicated batch": "images are ranked within their batch",
    }

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return the mean difference of logarithms to each image's own expert."""
        known: dict[str, float] = ctx.state.get("difficulty", {})
        ids, views = ctx.batch.ids, list(ctx.teachers.values())
        order = sorted(range(len(ids)), key=lambda i: (known.get(ids[i], 0.0), i))
        device = ctx.batch.image.device
        mine = _log(ctx.student.out.depth)
        losses = mine.new_zeros(len(ids))
        for number, view in enumerate(views):
            share = [order[i] for i in range(len(ids)) if i * len(views) // len(ids) == number]
            if not share:
                continue
            index = torch.tensor(share, device=device)
            target, valid = ctx.target(view.subset(index))
            error = masked_mean((mine[index] - _log(target)).abs(), valid, dim=(1, 2, 3))
            losses = losses.index_copy(0, index, error)
        ctx.note("hardest", losses.detach().amax())
        found = dict(zip(ids, losses.detach().tolist(), strict=True))
        ctx.state["difficulty"] = {**known, **found}
        return {"expert": losses.mean()}


def _log(depth: Tensor) -> Tensor:
    return widen(depth).clamp_min(1e-3).log()
