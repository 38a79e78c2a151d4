"""The geometric metrics of iBims-1 (Koch et al., ECCV workshops 2018), by the formulas of its script, version 0.9.

Planes are the set's. Edges are the set's too; of other sets, those of the true depth, found as those of the prediction.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from kdcli.evals.extras.canny import edges, near
from kdcli.evals.extras.scene import Scene, median, points

DIRECTED_AT = 3.0
"""Metres at which the plane of the directed error stands."""
_SIGMA, _LOW, _HIGH = math.sqrt(2), 0.15, 0.3
_AROUND = 10
"""Pixels beyond which an edge is not that one."""
_SMALLEST = 0.05
"""Share of the image below which a plane is not looked at."""


def directed(scene: Scene) -> tuple[float, ...]:
    """Return the shares of pixels on the right side of the plane, taken too near, and taken too far."""
    said, true = (one[scene.valid] <= DIRECTED_AT for one in (scene.prediction, scene.truth))
    return tuple(float(one.double().mean()) for one in (said == true, said & ~true, ~said & true))


def boundaries(scene: Scene) -> tuple[float, ...]:
    """Return how far predicted edges are from true ones, and edges of either from those of the other, in pixels.

    Where the set has no edges of its own, only those at pixels that count do: the rim of a hole or of a crop is none.
    NaN where there is no true edge.
    """
    known = None if scene.geometry is None else scene.geometry.edges
    true = _edges(_filled(scene.truth, scene.valid)) & scene.valid if known is None else known
    if not bool(true.any()):
        return math.nan, math.nan
    said = _edges(scene.prediction if scene.said is None else _filled(scene.prediction, scene.said))
    where = scene.valid if known is None else scene.said
    said = said if where is None else said & where
    if not bool(said.any()):
        return float(_AROUND), float(_AROUND)
    from_true, from_said = near(true, _AROUND), near(said, _AROUND)
    met = said & (from_true < _AROUND)
    accuracy = float(from_true[met].mean()) if bool(met.any()) else float(_AROUND)
    total = float(from_true[said].sum() + from_said[true].sum())
    return accuracy, total / int(said.sum() + true.sum())


def planarity(scene: Scene) -> tuple[float, ...]:
    """Return how far the points of a plane lie from the best one, as a deviation in centimetres, and the angle between
    it and the true one in degrees, means over the set's planes that cover at least a twentieth of the image; and how
    many planes these are, which weigh the mean over images: the script's is over planes.

    The prediction is brought to the truth's median within each plane first. Pixels are counted from 1, as the script
    does with the set's cameras. NaN without a plane or a camera.
    """
    found = []
    for mask, normal in () if scene.geometry is None or scene.camera is None else scene.geometry.planes:
        here = mask & scene.valid
        if int(here.sum()) < _SMALLEST * here.numel():
            continue
        assert scene.camera is not None
        scaled = scene.prediction.double() * (median(scene.truth[here]) / median(scene.prediction[here]))
        found.append(_plane(points(scaled, scene.camera, first=1.0)[here], normal))
    if not found:
        return math.nan, math.nan, 0.0
    return *(sum(values) / len(found) for values in zip(*found, strict=True)), float(len(found))


def _plane(points_N3: Tensor, normal: Tensor) -> tuple[float, float]:
    centred = points_N3 - points_N3.mean(0)
    least = torch.linalg.eigh(centred.mT @ centred).eigenvectors[:, 0]
    flatness = float((centred @ least).square().mean().sqrt()) * 100
    # The set's normals are of axes right, forward, up.
    right, forward, up = normal.double().to(points_N3.device).unbind()
    true = torch.stack([right, -up, forward])
    cosine = abs(float(torch.dot(least, true)))
    sine = float(torch.linalg.cross(true, least).norm())
    return flatness, math.degrees(math.atan2(sine, cosine))


def _edges(depth: Tensor) -> Tensor:
    least, most = depth.aminmax()
    return edges((depth - least) / (most - least).clamp(min=torch.finfo(depth.dtype).tiny), _SIGMA, _LOW, _HIGH)


def _filled(depth: Tensor, known: Tensor) -> Tensor:
    """Return a map that goes on into its holes as it is around them, pixel by pixel from their rim inwards."""
    if bool(known.all()) or not bool(known.any()):
        return depth
    kernel = depth.new_ones(1, 1, 3, 3, dtype=torch.float64)
    values = torch.where(known, depth, 0).double()[None, None]
    weight = known.double()[None, None]
    while bool((weight == 0).any()):
        near_by = conv2d(weight, kernel, padding=1)
        rim = (weight == 0) & (near_by > 0)
        values = torch.where(rim, conv2d(values, kernel, padding=1) / near_by.clamp(min=1), values)
        weight = torch.where(rim, 1, weight)
    return values[0, 0].to(depth.dtype)
