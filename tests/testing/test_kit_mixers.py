"""The kit passes mixers that hold and names the check that a faulty one fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from only import all_but

from kdcli.errors import ConfigError
from kdcli.plugins.registry import names
from kdcli.testing import ConformanceError, check_mixer
from kdcli.types import Batch


class Good:
    """Blend each image with the next by a random share; the labels no longer hold."""

    api_version = 2

    def mix(self, batch: Batch, ctx: Any) -> Batch:
        share = torch.rand(len(batch), 1, 1, 1, generator=ctx.generator, device=batch.image.device)
        image = batch.image * share + batch.image.roll(1, 0) * (1 - share)
        return replace(batch, image=image, depth=None, valid=None, instances=None)


OWN_OPTIONS = ("carried", "pasted")
"""Of packages that hold theirs against the contract themselves, with the options that these need."""


@pytest.mark.parametrize("name", [name for name in names("mixer") if name not in OWN_OPTIONS])
def test_installed_mixers_conform(name: str) -> None:
    check_mixer(name)


def test_a_sound_one_conforms() -> None:
    report = check_mixer(Good)
    assert len(report.passed) == len(report.checks) - 1 == 11, "all but inner updates, of which it has none"
    assert "drops depth, valid, instances" in [check.detail for check in report.checks]


class Faulty(Good):
    """Changes a sound result."""

    def mix(self, batch: Batch, ctx: Any) -> Batch:
        return self.change(super().mix(batch, ctx), batch, ctx)

    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        raise NotImplementedError


class NoMix:
    api_version = 2


class Drops(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        return out.select(torch.arange(max(1, len(out) - 1)))


class Widens(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        return replace(out, image=out.image.double())


class TooBright(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        return replace(out, image=out.image * 2)


class FlatDepth(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        return replace(out, depth=None if batch.depth is None else batch.depth[:, 0])


class ZeroDepth(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        return replace(out, depth=None if batch.depth is None else batch.depth * 0, valid=batch.valid)


class Global(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        return replace(out, image=out.image * torch.rand((), device=out.image.device))


class WithState(Faulty):
    count = 0

    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        WithState.count += 1
        return replace(out, image=out.image / WithState.count)


class InPlace(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        batch.image.mul_(0.9)
        return out


class Pairs(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        assert len(batch) > 1
        return out


class NeedsLabels(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        return replace(out, image=(out.image * batch.depth.mean()).clamp(0, 1))  # type: ignore[union-attr]


class NeedsObjects(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        if batch.instances is None:
            raise ConfigError("no instances in this batch; use another source")
        return replace(out, image=out.image / (batch.instances > 0).any().float())


class OnTheHost(Faulty):
    def change(self, out: Batch, batch: Batch, ctx: Any) -> Any:
        return replace(out, image=out.image * torch.ones(3, 1, 1))


FAULTS = {
    NoMix: "contract", Drops: "same size", Widens: "same size", TooBright: "image range", FlatDepth: "labels",
    ZeroDepth: "labels", Global: "deterministic", WithState: "deterministic", InPlace: "input kept",
    Pairs: "batch of one", NeedsLabels: "unlabelled", NeedsObjects: "no objects", OnTheHost: "device",
}


@pytest.mark.parametrize(("faulty", "check"), FAULTS.items(), ids=lambda x: getattr(x, "__name__", x))
def test_a_fault_is_named(faulty: Any, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_mixer(faulty, skip=all_but("mixer", check, "unlabelled"))
    assert check in {failed.name for failed in caught.value.report.failed}
    assert "unlabelled" in caught.value.report.passed or check in ("unlabelled", "contract")


class Learns(torch.nn.Module):
    """Darkens images by a share that it learns from the student's depth on them."""

    api_version = 2

    def __init__(self) -> None:
        super().__init__()
        self.share = torch.nn.Parameter(torch.tensor(0.5))

    def mix(self, batch: Batch, ctx: Any) -> Batch:
        return replace(batch, image=batch.image * self.share.detach().clamp(0, 1))

    def inner_parameters(self) -> list[torch.nn.Parameter]:
        return [self.share]

    def inner_loss(self, ctx: Any) -> Any:
        return ctx.student.call(ctx.batch.image * self.share).depth.mean()


class Blind(Learns):
    def inner_loss(self, ctx: Any) -> Any:
        return ctx.student.out.depth.mean()


class Broken(Learns):
    def inner_loss(self, ctx: Any) -> Any:
        return (self.share - 0.5).sqrt() / 0


class Meddles(Learns):
    def inner_loss(self, ctx: Any) -> Any:
        ctx.teacher.model.train()(ctx.batch.image)
        return super().inner_loss(ctx)


def test_inner_updates_are_checked() -> None:
    assert "inner updates" in check_mixer(Learns).passed


@pytest.mark.parametrize("faulty", [Blind, Broken, Meddles])
def test_a_fault_of_an_inner_update_is_named(faulty: type[Learns]) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_mixer(faulty, skip=["training"])
    assert [failed.name for failed in caught.value.report.failed] == ["inner updates"]
