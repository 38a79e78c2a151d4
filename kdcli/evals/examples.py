"""Single images with what models say of them, for pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.evals.alignment import resolve
from kdcli.evals.batches import batches, prepare, seen_at
from kdcli.evals.predict import depth_of, place, raw_prediction
from kdcli.evals.protocol import Protocol
from kdcli.evals.reference import Reference, as_known
from kdcli.evals.runner import device_of, evaluating, match_stored, rules_of
from kdcli.evals.sizes import rendered_at, views
from kdcli.networks.read_out import read_out_of
from kdcli.networks.shown_size import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One image with everything that a picture of it needs, on the CPU.

    image: 3 x H x W. depth, valid: ground truth and the pixels that count, h x w. predictions: aligned depth by model,
    h x w. silent: pixels that a model says nothing of, h x w; models that speak of all of them are not in it.
    """

    id: str
    image: Tensor
    depth: Tensor
    valid: Tensor
    predictions: Mapping[str, Tensor]
    silent: Mapping[str, Tensor] = field(default_factory=dict)

    def said(self, name: str) -> Tensor | None:
        """Return where a model says something, h x w; None = everywhere."""
        return None if name not in self.silent else ~self.silent[name]

    def measured(self, name: str) -> Tensor:
        """Return the pixels that a model is measured on, h x w."""
        said = self.said(name)
        return self.valid if said is None else self.valid & said


def examine(
    models: Mapping[str, nn.Module],
    source: Any,
    indices: Sequence[int],
    protocol: str | Protocol = "plain",
    *,
    align: str | Mapping[str, str] | None = None,
    flip: bool | None = None,
    device: torch.device | str | None = None,
    size: Asked | None = "own",
    against: Reference | None = None,
) -> list[Example]:
    """Return images at some positions of a source with each model's aligned depth, for pictures of them.

    As ``evaluate``, but align may also name one mode per model. The order of indices is kept. The image is shown at a
    size that was named, otherwise as it is.
    """
    rules = rules_of(protocol, flip)
    rules = rules if against is None else against.rules(rules)
    where = device_of(models, device)
    shown = []
    everyone = models if against is None else {**models, "": against.model}
    match_stored(everyone, source)
    with evaluating(everyone, where):
        for _, batch in batches(source, indices, batch_size=1, size=rendered_at(everyone, size), device=where):
            prepared = prepare(batch if against is None else against.label(batch, size), rules)
            predictions, silent = {}, {}
            for (name, model), view in zip(models.items(), views(models, prepared, size), strict=True):
                own = rules.for_model(read_out_of(model))
                raw = raw_prediction(model, view, own, name)
                raw = raw if against is None else as_known(raw, against.kind)
                asked = align.get(name) if isinstance(align, Mapping) else align
                mode = resolve(asked, raw.kind, own.alignment)
                predictions[name] = place(depth_of(raw, prepared, mode, own), prepared, own)[0, 0].cpu()
                if raw.opinion is not None:
                    silent[name] = ~place(raw.opinion, prepared, own, fill=True)[0, 0].cpu()
            prepared = seen_at(prepared, size if isinstance(size, tuple) else None)
            shown.append(
                Example(
                    id=batch.ids[0], image=prepared.batch.image[0].cpu(), depth=prepared.depth[0, 0].cpu(),
                    valid=prepared.valid[0, 0].cpu(), predictions=predictions, silent=silent,
                )
            )
    return shown
