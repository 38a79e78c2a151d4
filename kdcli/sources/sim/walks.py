"""Walks: many views of one scene, as a camera that is carried through it takes them.

Indoors the camera goes round a closed path about where the scene's own view stands, and looks at a place that wanders;
outdoors it drives ahead. A view is a function of (scene, its number of how many), like all that is simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from kdcli.sources.sim.camera import axes, choose_view, clearance
from kdcli.sources.sim.hashing import Dice, mix
from kdcli.sources.sim.scene import Geometry, Scene, View

_DEGREE = math.pi / 180.0
_FREE = 0.3
"""Metres that a path keeps from what stands there."""
_WAYPOINTS = 24
_SHARES = (1.0, 0.7, 0.5, 0.35, 0.2, 0.1, 0.0)
"""Of the longest path; the first that is free all along is taken. The last one stays where the scene's view stands."""
_AHEAD = 12.0
"""Metres that a camera drives outdoors: so far roads are straight."""
_LOOKS = 4
"""Candidates of a view's direction."""

_Places = Callable[[Tensor, Tensor], Tensor]
"""From a share of the longest path (B or 1 x 1 x 1) and how far it has been gone (B x N, 0..1) to places, B x N x 3."""


def walked(scene: Scene, view_B: Tensor, views: int) -> Scene:
    """Return the scene as it is seen from place ``view_B`` (B, int64, 0 .. views - 1) of a walk of so many views."""
    dice = Dice(mix(scene.keys_B + 1))
    done = view_B.to(torch.float32)[:, None] / views
    view = _driven(scene, dice, done) if scene.geometry.ground is not None else _carried(scene, dice, done)
    return replace(scene, view=view)


def noise_keys(scene: Scene, view_B: Tensor) -> Tensor:
    """Return keys of the noise of pictures, B: it is another one in every view."""
    return mix(scene.keys_B ^ mix(view_B + 1))


def _carried(scene: Scene, dice: Dice, done: Tensor) -> View:
    """Return views from a closed path in a room, B."""
    first, geometry = scene.view, scene.geometry
    half = geometry.room_B3[:, None, 0::2] * 0.5
    path, wandering = _loop(dice, 2), _loop(dice, 2)
    longest = half * dice.uniform(1, 2, low=0.4, high=0.8)
    own, reach = first.position_B3[:, None], half - 0.35

    def places(share: Tensor, at: Tensor) -> Tensor:
        """Return the places of a path, B x N x 3, which ends neither in nor behind a wall."""
        flat = own[..., 0::2] + share * longest * path(at)
        flat = torch.maximum(torch.minimum(flat, reach), -reach)
        return torch.stack((flat[..., 0], own[..., 1].expand_as(flat[..., 0]), flat[..., 1]), dim=-1)

    share = _free_share(geometry, places)
    position = places(share, done)[:, 0]
    _, _, forward = axes(first)
    seen = first.position_B3[:, 0::2] + 2.0 * forward[:, 0::2]
    aim = seen + 0.45 * half[:, 0] * wandering(done)[:, 0]
    aim = torch.maximum(torch.minimum(aim, 0.6 * half[:, 0]), -0.6 * half[:, 0])
    # Where it would look at a wall from near, it looks to the middle, or where the scene's own view does, or back.
    toward = torch.stack((aim, torch.zeros_like(aim), seen), dim=1) - position[:, None, 0::2]
    yaw = torch.atan2(toward[..., 0], toward[..., 1])
    yaw = torch.cat((yaw, yaw[:, :1] + math.pi), dim=1)
    pitch = first.pitch_B[:, None] + 5.0 * _DEGREE * _sway(dice, done)
    roll = first.roll_B[:, None] + 1.0 * _DEGREE * _sway(dice, done)
    candidates = View(
        position_B3=position.repeat_interleave(_LOOKS, dim=0),
        yaw_B=yaw.flatten(),
        pitch_B=pitch.expand(-1, _LOOKS).flatten(),
        roll_B=roll.expand(-1, _LOOKS).flatten(),
        tan_half_B=first.tan_half_B.repeat_interleave(_LOOKS),
    )
    return choose_view(geometry, candidates, _LOOKS, margin=0.0, floor=0.08, objects=0.04)


def _driven(scene: Scene, dice: Dice, done: Tensor) -> View:
    """Return views from a car that drives along its lane, B."""
    first, ground = scene.view, scene.geometry.ground
    assert ground is not None
    own = first.position_B3[:, None]

    def places(share: Tensor, at: Tensor) -> Tensor:
        ahead = own[..., 2] + (share * _AHEAD)[..., 0] * at
        rise = ground.at(ahead) - ground.at(own[..., 2])
        return torch.stack((own[..., 0].expand_as(ahead), own[..., 1] + rise, ahead), dim=-1)

    position = places(_free_share(scene.geometry, places), done)[:, 0]
    yaw = first.yaw_B + 1.5 * _DEGREE * _sway(dice, done)[:, 0]
    pitch = first.pitch_B + 0.4 * _DEGREE * _sway(dice, done)[:, 0]
    return replace(first, position_B3=position, yaw_B=yaw, pitch_B=pitch)


def _free_share(geometry: Geometry, places: _Places) -> Tensor:
    """Return how much of the longest path is free, B x 1 x 1: the first of ``_SHARES`` along which nothing stands."""
    batch, device = len(geometry.room_B3), geometry.room_B3.device
    at = (torch.arange(_WAYPOINTS, device=device, dtype=torch.float32) / _WAYPOINTS).expand(batch, -1)
    shares = torch.tensor(_SHARES, device=device)
    points = torch.stack([places(share.view(1, 1, 1), at) for share in shares], dim=1)
    rows = torch.arange(batch, device=device).repeat_interleave(len(_SHARES) * _WAYPOINTS)
    gaps = clearance(geometry.select(rows), points.flatten(0, 2), _FREE).view(batch, len(_SHARES), _WAYPOINTS)
    free = (gaps > 0.0).all(-1)
    free[:, -1] = True
    return shares[free.to(torch.int8).argmax(1)].view(batch, 1, 1)


def _loop(dice: Dice, count: int) -> Callable[[Tensor], Tensor]:
    """Draw smooth periodic functions of 0..1 that begin at 0; they map B x N to B x N x count, about -1..1."""
    phase = dice.uniform(1, count, 2, high=2.0 * math.pi)
    weight = dice.uniform(1, count, 2, low=0.3, high=1.0) * torch.tensor((0.7, 0.3), device=dice.device)
    turns = torch.tensor((1.0, 2.0), device=dice.device)

    def at(done: Tensor) -> Tensor:
        angle = 2.0 * math.pi * turns * done[..., None, None] + phase
        return (weight * (angle.sin() - phase.sin())).sum(-1)

    return at


def _sway(dice: Dice, done: Tensor) -> Tensor:
    """Draw a smooth periodic function of 0..1 between -1 and 1; B x 1."""
    return (2.0 * math.pi * (done + dice.uniform(1))).sin()
