"""A teacher whose weights are drawn under a number of its own."""

from __future__ import annotations

import torch

from kdcli.types import Provenance, ReadOut
from toy_networks.student import Tiny


class TinyTeacher(Tiny):
    """Knows nothing, but knows it for certain; no two numbers know the same.

    focal: the focal length in pixels that its depth is meant for, 0 for any.
    """

    def __init__(
        self, *, number: int = 0, width: int = 8, focal: float = 0.0, licence: str = "MIT", images: str = "nothing",
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 + number)
            super().__init__(width=width)
            with torch.no_grad():
                self.head[1].weight.mul_(4)
        if focal:
            self.read_out = ReadOut(focal=focal)
        self.provenance = Provenance(name=f"tiny-{number}", licence=licence, training_data=images)
        self.eval()
