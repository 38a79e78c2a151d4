"""Several teachers as one: their mean, or for each image the best of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kdcli.errors import ConfigError, PluginError, SpecError
from kdcli.made_for import common
from kdcli.networks.read_out import own_map, read_out_of, resize_map
from kdcli.plugins import registry
from kdcli.plugins.blame import blame
from kdcli.protocols import API_VERSION, DepthModel
from kdcli.spec import members
from kdcli.types import Batch, DepthKind, Prediction, Provenance, ReadOut, Tap

FLOOR = 1e-3
"""Metres below which depth counts as this before its logarithm is taken."""


class Ensemble(nn.Module):
    """Members of one depth kind, brought to the finest of their resolutions.

    Each member's ``read_out`` is followed inside (clip, resize); a focal length is the member's own option.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, location: str) -> None:
        """Build the members.

        Raises:
            SpecError: fewer than two. ConfigError: members that cannot be joined.
        """
        super().__init__()
        specs = members_of(location)
        self.members = nn.ModuleList(build_member(spec) for spec in specs)
        self.depth_kind: DepthKind = _common_kind(specs, self.members)
        ranges = [member.depth_range for member in self.members]
        self.depth_range = (min(float(r[0]) for r in ranges), max(float(r[1]) for r in ranges))  # type: ignore[index]
        self.bounded = all(getattr(member, "bounded", True) for member in self.members)
        self.read_out = ReadOut(flip=any(read_out_of(member).flip for member in self.members))
        self.made_for = common([getattr(member, "made_for", None) for member in self.members])
        self.taps = taps_of(self.members)
        self.provenance = provenance_of(type(self).__name__.lower(), specs, self.members)
        self.eval().requires_grad_(False)

    def maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return every member's map (1 where it has no opinion) and where it has one, M x B x 1 x h x w each."""
        said = [ask(member, image) for member in self.members]
        size = max(((int(p.depth.shape[-2]), int(p.depth.shape[-1])) for p in said), key=lambda hw: hw[0] * hw[1])
        maps = [map_at(member, one, size) for member, one in zip(self.members, said, strict=True)]
        return torch.stack([depth for depth, _ in maps]), torch.stack([good for _, good in maps])


class Mean(Ensemble):
    """Mean of several teachers: ``"mean:[adabins|bts:BTS.pth,max_depth=10]"``, members between bars.

    Metric depth is averaged as it is. Numbers of an unknown scale (and shift) are first divided by each image's median
    (after it was subtracted, by the mean distance from it). Where only some members have an opinion, theirs counts.
    """

    def forward(self, image: Tensor) -> Prediction:
        """Predict at the finest resolution of the members, B x 1 x h x w."""
        maps, valid = self.maps(image)
        maps = comparable(maps, self.depth_kind)
        count = valid.sum(dim=0)
        depth = torch.where(valid, maps, 0.0).sum(dim=0) / count.clamp(min=1)
        return Prediction(depth=torch.where(count > 0, depth, 1.0), kind=self.depth_kind, valid=count > 0)


class Best(Ensemble):
    """For each image the best of several teachers: ``"best:[adabins|bts:BTS.pth,max_depth=10]"``, members between bars.

    Where an image has ground truth, the best is the one with the smallest mean difference of logarithms to it: in an
    evaluation that makes it an upper bound, not a model to deploy. Without ground truth it is the member that is
    nearest to the median of all, so three or more are needed for that to mean something.
    """

    def __init__(self, location: str) -> None:
        """Build the members.

        Raises:
            SpecError: fewer than two. ConfigError: members that cannot be joined, or whose numbers are no ratios.
        """
        super().__init__(location)
        if self.depth_kind not in (DepthKind.METRIC, DepthKind.SCALE_INVARIANT):
            raise ConfigError(f"best:{location} joins {self.depth_kind} numbers; only positive depth can be judged")

    def forward(self, image: Tensor) -> Prediction:
        """Predict without ground truth: the member nearest to the median of all."""
        maps, valid = self.maps(image)
        return self._choose(maps, valid, self._distance_to_median(maps, valid))

    def from_batch(self, batch: Batch) -> Prediction:
        """Predict with ground truth where the batch has it."""
        maps, valid = self.maps(batch.image)
        distance = self._distance_to_median(maps, valid)
        if batch.depth is not None:
            size = (int(maps.shape[-2]), int(maps.shape[-1]))
            truth = interpolate(batch.depth.float(), size=size, mode="nearest-exact")
            known = torch.isfinite(truth) & (truth > 0)
            if batch.valid is not None:
                known &= interpolate(batch.valid.float(), size=size, mode="nearest-exact") > 0.5
            judged = known.flatten(1).any(dim=1)
            distance = torch.where(judged, self._distance(maps, valid & known, truth), distance)
        return self._choose(maps, valid, distance)

    def _distance_to_median(self, maps: Tensor, valid: Tensor) -> Tensor:
        return self._distance(maps, valid, comparable(maps, self.depth_kind).median(dim=0).values)

    def _distance(self, maps: Tensor, valid: Tensor, target: Tensor) -> Tensor:
        """Return the mean difference of logarithms, M x B; infinite where a member has no opinion."""
        off = (_log(comparable(maps, self.depth_kind)) - _log(comparable(target[None], self.depth_kind))).abs()
        count = valid.flatten(2).sum(dim=2)
        mean = torch.where(valid, off, 0.0).flatten(2).sum(dim=2) / count.clamp(min=1)
        return torch.where(count > 0, mean, torch.inf)

    def _choose(self, maps: Tensor, valid: Tensor, distance: Tensor) -> Prediction:
        best, image = distance.argmin(dim=0), torch.arange(maps.shape[1], device=maps.device)
        good = valid[best, image]
        return Prediction(depth=torch.where(good, maps[best, image], 1.0), kind=self.depth_kind, valid=good)


def members_of(location: str) -> list[str]:
    """Return the specs in ``[A|B|C]``; the brackets may be left out where no member has options.

    Raises:
        SpecError: fewer than two.
    """
    specs = members(location)
    if len(specs) < 2:
        raise SpecError(f"'{location}' names {len(specs)} teacher; write several between bars: 'mean:[NAME|NAME:FILE]'")
    return specs


def comparable(maps: Tensor, kind: DepthKind) -> Tensor:
    """Return maps ... x h x w on one scale per image: metres as they are, others without unknown scale and shift."""
    if kind is DepthKind.METRIC:
        return maps
    flat = maps.flatten(-2)
    median = flat.median(dim=-1).values[..., None, None]
    if kind is DepthKind.SCALE_INVARIANT:
        return maps / median.clamp(min=FLOOR)
    return (maps - median) / (maps - median).abs().mean(dim=(-2, -1), keepdim=True).clamp(min=1e-6)


def _log(maps: Tensor) -> Tensor:
    return maps.clamp(min=FLOOR).log()


def build_member(spec: str) -> nn.Module:
    """Build a teacher that is one of several.

    Raises:
        PluginError: it is no depth model. ConfigError: it answers from the data.
    """
    member = registry.build("teacher", spec)
    if not isinstance(member, nn.Module) or not isinstance(member, DepthModel):
        raise PluginError(f"teacher '{spec}' is no depth model; report it to its author")
    if hasattr(member, "from_batch"):
        raise ConfigError(f"teacher '{spec}' answers from the data, not from the image; it cannot be one of several")
    return member


def _common_kind(specs: Sequence[str], members: nn.ModuleList) -> DepthKind:
    kinds = [DepthKind(str(member.depth_kind)) for member in members]
    for spec, kind in zip(specs, kinds, strict=True):
        if kind is not kinds[0]:
            raise ConfigError(f"'{specs[0]}' gives {kinds[0]}, '{spec}' {kind}; join teachers of one kind")
    return kinds[0]


def ask(member: nn.Module, image: Tensor) -> Prediction:
    """Return what a member says of images; an error on the way is its author's."""
    with blame(member, "forward"):
        said: Prediction = member(image)
    return said


def map_at(member: nn.Module, said: Prediction, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return a member's map as its authors read it (1 where it has no opinion) and where it has one, B x 1 x h x w."""
    read = read_out_of(member)
    depth = resize_map(own_map(said, read), size, read.resize)
    good = torch.isfinite(depth)
    if said.valid is not None:
        good = good & (interpolate(said.valid.float(), size=size, mode="nearest-exact") > 0.5)
    return torch.where(good, depth, 1.0), good


def taps_of(members: nn.ModuleList) -> dict[str, Tap]:
    """Return all members' taps, counted from ``1.NAME`` on, of a module that holds them as ``members``."""
    return {
        f"{i + 1}.{name}": Tap(module=f"members.{i}.{tap.module}", stride=tap.stride, channels=tap.channels)
        for i, member in enumerate(members) for name, tap in member.taps.items()  # type: ignore[union-attr,operator]
    }


def provenance_of(name: str, specs: Sequence[str], members: nn.ModuleList) -> Provenance:
    """Return where all members' weights come from, with all their licences."""
    known: list[Provenance] = [
        getattr(member, "provenance", None) or Provenance(name=spec)
        for spec, member in zip(specs, members, strict=True)
    ]
    hashes = "".join(one.sha256 or "" for one in known)

    def all_of(field: str) -> str:
        return ", ".join(sorted({str(getattr(one, field)) for one in known}))

    return Provenance(
        name=f"{name} of {', '.join(specs)}",
        weights=", ".join(one.weights or one.name for one in known),
        sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        licence=all_of("licence"), training_data=all_of("training_data"),
        notes="sha256 is that of the members' hashes in order: " + ", ".join(str(one.sha256) for one in known),
    )
