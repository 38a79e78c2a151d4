"""Extra metrics of an evaluation: per image, and their means over the images that have them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kdcli.errors import DataError
from kdcli.evals import intervals
from kdcli.evals.batches import Prepared
from kdcli.evals.extras.registry import chosen
from kdcli.evals.extras.scene import Scene
from kdcli.evals.protocol import Protocol
from kdcli.plugins.blame import blame
from kdcli.types import Geometry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extras:
    """The extra metrics of one model, beside the nine.

    names: columns. values: per image, N x K float64, NaN where an image has none; images are those of the result.
    weights: the column that weighs each in the mean over images, None = they weigh alike.
    """

    names: tuple[str, ...]
    values: Tensor
    weights: tuple[str | None, ...] = ()
    seed: int = 0
    metrics: Mapping[str, float] = field(init=False)
    ci95: Mapping[str, tuple[float, float]] = field(init=False)
    n: Mapping[str, int] = field(init=False)
    """How many images have each."""

    def __post_init__(self) -> None:
        weigh = torch.ones_like(self.values)
        for column, by in enumerate(self.weights):
            if by is not None:
                weigh[:, column] = self.values[:, self.names.index(by)]
        means, low, high = (part.tolist() for part in intervals.over_known(self.values, weigh, seed=self.seed))
        known = torch.isfinite(self.values).sum(0).tolist()
        object.__setattr__(self, "metrics", dict(zip(self.names, means, strict=True)))
        object.__setattr__(self, "ci95", dict(zip(self.names, zip(low, high, strict=True), strict=True)))
        object.__setattr__(self, "n", dict(zip(self.names, known, strict=True)))

    def document(self) -> dict[str, Any]:
        """Return all for JSON; what does not exist is null."""
        return {
            "metrics": {name: _number(value) for name, value in self.metrics.items()},
            "ci95": {name: [_number(end) for end in ends] for name, ends in self.ci95.items()},
            "n": dict(self.n),
        }


def geometry_of(source: Any, indices: Sequence[int], prepared: Prepared, rules: Protocol) -> list[Geometry | None]:
    """Return what a source knows of images beside depth, where metrics of it are asked for and maps are not cut.

    Raises:
        DataError: it is of other pixels than the depth is. PluginError: it is no geometry.
    """
    told = getattr(source, "geometry", None)
    size = tuple(prepared.depth.shape[-2:])
    cut = rules.band is not None or (rules.frame is not None and not rules.frame.paste)
    resized = prepared.whole is not None and prepared.whole[1] != size
    if not rules.extras or told is None or cut or resized:
        return [None] * len(indices)
    found: list[Geometry | None] = []
    for index in indices:
        with blame(source, f"geometry({index})"):
            found.append(_fitting(told(index), prepared.depth, f"'{getattr(source, 'name', source)}' item {index}"))
    return found


def _fitting(known: Any, depth: Tensor, where: str) -> Geometry:
    if not isinstance(known, Geometry):
        raise TypeError(f"it gave {type(known).__name__}, not a Geometry")
    height, width = depth.shape[-2:]
    for one in (known.edges, *(mask for mask, _ in known.planes)):
        if one is not None and tuple(one.shape) != (height, width):
            own = "x".join(map(str, tuple(one.shape)[::-1]))
            raise DataError(
                f"{where} has edges or planes of {own} pixels and depth of {width}x{height} (width x height); "
                "give both of the same frame"
            )
    edges = None if known.edges is None else known.edges.to(depth.device)
    return Geometry(edges=edges, planes=tuple((mask.to(depth.device), normal) for mask, normal in known.planes))


def extras_of(
    names: Sequence[str], depth_B1HW: Tensor, prepared: Prepared, valid_B1HW: Tensor,
    geometry: Sequence[Geometry | None], said_B1HW: Tensor | None = None,
) -> list[list[float]]:
    """Return the extra metrics of each image of a batch, in the order of their columns.

    depth: aligned, in the full frame of the ground truth. valid: where truth and prediction count. geometry: what the
    source knows of each image. said: where predictions say anything; None = everywhere.
    """
    wanted, rows = chosen(names), []
    for i, known in enumerate(geometry):
        camera = None if prepared.camera is None else prepared.camera[i]
        scene = Scene(
            prediction=depth_B1HW[i, 0], truth=prepared.depth[i, 0], valid=valid_B1HW[i, 0], camera=camera,
            geometry=known, said=None if said_B1HW is None else said_B1HW[i, 0],
        )
        rows.append([number for extra in wanted for number in extra.measure(scene)])
    return rows


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
