"""Images to take the ranges of numbers from, and others to judge the file on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kdcli.exporters.gate.pictures import images_at, synthetic

CALIBRATE, JUDGE = 32, 16
"""How many are made where none are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Images of an export in eight bits, each B x 3 x H x W in 0..1."""

    calibrate: Tensor
    """The ranges of the network's inner numbers are taken from these."""
    judge: Tensor
    """The file is held against the network on these."""
    told: str
    """What they are, as half a sentence."""

    def at(self, size: tuple[int, int]) -> Shown:
        """Return them at a size."""
        return Shown(calibrate=images_at(self.calibrate, size), judge=images_at(self.judge, size), told=self.told)


def parted(images: Tensor) -> Shown:
    """Part images into those to calibrate on and those to judge on, every other one; a single one serves for both."""
    if len(images) == 1:
        return Shown(calibrate=images, judge=images, told="one image, which it is judged on, too; give more")
    return Shown(calibrate=images[::2], judge=images[1::2], told=f"{len(images[::2])} images that were given")


def made_up(size: tuple[int, int]) -> Shown:
    """Return synthetic images, where nothing is known of what the network will see."""
    told = "synthetic images; images of the target are better"
    return Shown(calibrate=synthetic(CALIBRATE, size, seed=1), judge=synthetic(JUDGE, size, seed=2), told=told)
