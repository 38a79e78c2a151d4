"""What a conversion is asked for: the part of it that decides over the content of the files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from kdcli.convert.layouts import LAYOUTS, Layout
from kdcli.errors import ConfigError, nearest
from kdcli.images import SCALES

Form = Literal["png", "npy"]
QUALITY = 95
"""Of JPEG where nobody asks for another."""
DEEPEST = 1e5
"""Metres from which on nothing is a depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """data, val: specs of the images to train on and of those to measure on. layout: a name of ``LAYOUTS``.

    size: height and width; None = as they are. image: None = as the layout has them. quality: of JPEG; None = 95, and
    JPEG files that keep their size are copied. depth: ``png`` is 16 bits. scale: stored units per metre; None = one
    that fits. max_depth: metres beyond which depth is left out. shard_size: images a shard. skip_broken: whether items
    that cannot be read are left out instead of ending it.
    """

    data: str
    layout: str
    val: str | None = None
    size: tuple[int, int] | None = None
    image: Literal["jpg", "png"] | None = None
    quality: int | None = None
    depth: Form | None = None
    scale: float | None = None
    max_depth: float | None = None
    shard_size: int = 1000
    skip_broken: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: an unknown layout, or options that do not go together.
        """
        if self.layout not in LAYOUTS:
            raise ConfigError(f"there is no layout '{self.layout}'.{nearest(self.layout, LAYOUTS)} Layouts: "
                              f"{', '.join(LAYOUTS)}")
        made = self.made
        if self.depth is not None and self.depth not in made.depths:
            raise ConfigError(f"--depth {self.depth} does not go with --to {self.layout}, which has "
                              f"{' or '.join(made.depths)}; leave it out")
        if self.val is not None and not made.splits:
            raise ConfigError(f"--val does not go with --to {self.layout}, which has one part; convert '{self.val}' "
                              "into a folder of its own")
        if self.scale is not None and (made.logarithmic or self.stored == "npy"):
            raise ConfigError(f"--scale {self.scale:g} is of 16-bit depth in even steps, not of "
                              f"{'logarithms' if made.logarithmic else '--depth npy'}; leave it out")
        if self.scale is not None and not SCALES[0] <= self.scale <= SCALES[1]:
            raise ConfigError(f"--scale {self.scale:g} is no number of units per metre; write for example 1000 or 256")
        if self.scale is not None and made.bound and self.scale not in made.scales:
            known = " and ".join(f"{scale:g}" for scale in made.scales)
            raise ConfigError(f"--scale {self.scale:g}: readers of the layout {self.layout} know {known} alone")
        if self.max_depth is not None and not 0 < self.max_depth <= DEEPEST:
            raise ConfigError(f"--max-depth {self.max_depth:g} must lie in 0..{DEEPEST:g} metres")
        if self.quality is not None and self.ending == "png":
            raise ConfigError(f"--quality {self.quality} is of JPEG, and images become PNG; leave it out or add "
                              "--image jpg")

    @property
    def made(self) -> Layout:
        """The layout itself."""
        return LAYOUTS[self.layout]

    @property
    def ending(self) -> Literal["jpg", "png"]:
        """How images end."""
        return self.image or self.made.images

    @property
    def stored(self) -> Form:
        """How depth is stored."""
        return self.depth or "png"

    def parameters(self) -> dict[str, Any]:
        """Return what two conversions into one folder must have in common."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
