"""Networks shared out among processes, beside the same ones whole; started by ``torchrun``."""

from __future__ import annotations

import json
import sys

import torch
from torch import nn

from kdcli.many.group import joined
from kdcli.many.sharded import blocks, bytes_here, share_out
from kdcli.models import load_teacher
from kdcli.networks.taps import TapReader


class Attentive(nn.Module):
    """Blocks of a transformer, with a number of its own and a weight that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
        self.begin, self.end = nn.Linear(12, 32), nn.Linear(12, 32)
        self.end.weight = self.begin.weight
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        made = self.blocks(self.begin(image.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).flatten(3)
                                          .flatten(1, 2))) * self.factor
        return made @ self.end.weight


def main() -> None:
    cpu, told = torch.device("cpu"), {}
    with joined(cpu) as group:
        assert group is not None
        for name in sys.argv[1:]:
            models = []
            for _ in range(2):
                torch.manual_seed(0)
                models.append(Attentive().eval() if name == "attentive" else load_teacher(name))
            whole, shared = models
            parts = len(blocks(shared))
            share_out(shared, name, group, cpu)
            before, _ = bytes_here(whole)
            images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(group.rank))
            apart, features = 0.0, 0.0
            for _ in range(2):  # what was put together is given back after each pass
                with torch.no_grad():
                    taps = tuple(getattr(whole, "taps", {}))[:1]
                    with TapReader(whole, taps) as one, TapReader(shared, taps) as two:
                        said = [model(images) for model in models]
                depths = [getattr(depth, "depth", depth) for depth in said]
                apart = max(apart, float((depths[0] - depths[1]).abs().max() / depths[0].abs().max()))
                for tap in taps:
                    features = max(features, float((one.features[tap] - two.features[tap]).abs().max()))
            told[name] = {
                "apart": apart, "features": features, "share": bytes_here(shared)[0] / before, "blocks": parts,
                "learns": any(one.requires_grad for one in shared.parameters()), "trains": shared.training,
            }
        everyone = group.all_of(told)
        if group.first:
            sys.stdout.write(json.dumps(everyone) + "\n")


if __name__ == "__main__":
    main()
