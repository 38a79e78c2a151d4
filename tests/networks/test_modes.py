"""Who looks at a network leaves what is frozen frozen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from kdcli.evals.speed import speed_of
from kdcli.exporters import export
from kdcli.networks.modes import modes_kept
from kdcli.types import DepthKind, Prediction, Provenance


class Partly(nn.Module):
    """A network in training whose batch norm is frozen."""

    depth_kind = DepthKind.METRIC
    depth_range = (0.0, 20.0)
    provenance = Provenance(name="toy", licence="MIT", training_data="noise")
    taps: ClassVar[dict[str, object]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.BatchNorm2d(3)
        self.learns = nn.Conv2d(3, 1, 1)
        self.train()
        self.frozen.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=1 + self.learns(self.frozen(image)).abs(), kind=self.depth_kind)


def exported(net: nn.Module, folder: Path) -> None:
    export(net, "pt2", folder / "a.pt2", size=(32, 48), verify=False)


def timed(net: nn.Module, folder: Path) -> None:
    assert speed_of(net, (32, 48), torch.device("cpu")).seconds


def failed(net: nn.Module, folder: Path) -> None:
    with pytest.raises(KeyError), modes_kept(net):
        net.eval()
        raise KeyError


@pytest.mark.parametrize("look", [exported, timed, failed])
def test_frozen_norms_do_not_learn_afterwards(look: Callable[[nn.Module, Path], None], tmp_path: Path) -> None:
    net = Partly()
    look(net, tmp_path)
    assert net.training and net.learns.training and not net.frozen.training
    net(torch.rand(1, 3, 8, 8))
    assert not net.frozen.running_mean.any()  # type: ignore[union-attr]
