"""What a loss trains along with the student: ``networks()`` in the kit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from only import only
from plain import Plain
from torch import Tensor, nn

import kdcli
from kdcli.maps import at_size, masked_mean
from kdcli.testing import check_loss
from kdcli.types import ANY_KIND, Needs


class Beside(Plain, nn.Module):
    """A small peer that learns from the teacher."""

    needs = Needs(kinds=ANY_KIND)
    value_at_equality = float("nan")
    names: tuple[str, ...] = ("peer",)

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.peer = kdcli.build("student", "mobilenet,width=0.35,decoder=2")

    def networks(self) -> Any:
        return dict.fromkeys(self.names, self.peer)

    def gap(self, ctx: Any) -> Tensor:
        target, valid = ctx.target()
        said, _ = at_size(self.peer(ctx.batch.image), tuple(target.shape[-2:]))
        return super().gap(ctx) + masked_mean((said - target).abs(), valid)


def test_a_peer_is_read_back_as_it_was() -> None:
    report = check_loss(Beside, skip=["finite differences"])
    assert {row.name: row.detail for row in report.checks}["optional members"] == "networks"


class NoMapping(Beside):
    def networks(self) -> Any:
        return [self.peer]


class OddName(Beside):
    names = ("../peer",)


class NoDepthModel(Beside):
    def networks(self) -> Any:
        return {"peer": self.peer.decoder}


class NoArchitecture(Beside):
    def __init__(self) -> None:
        super().__init__()
        del self.peer.architecture


class OtherArchitecture(Beside):
    def __init__(self) -> None:
        super().__init__()
        self.peer.architecture = "mobilenet,width=0.5"


class Foreign(Beside):
    def networks(self) -> Mapping[str, Any]:
        return {"peer": kdcli.build("student", "mobilenet,width=0.35,decoder=2")}


class Nobody(Beside):
    names = ()


FAULTS: dict[type[Beside], str] = {
    NoMapping: "returns list, not a mapping", OddName: "'../peer', which is no name", NoDepthModel: "no depth model",
    NoArchitecture: "lacks architecture", OtherArchitecture: "", Foreign: "nothing trains it", Nobody: "is empty",
}


@pytest.mark.parametrize("faulty", FAULTS)
def test_a_fault_is_named(faulty: type[Beside]) -> None:
    found = only("loss", faulty, "optional members")
    assert found.outcome == "failed"
    assert FAULTS[faulty] in found.detail
