"""Teachers and sources that were built to look at them, kept for the run that uses them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from kdcli.networks.encoders import Encoders
    from kdcli.protocols import Source


@dataclass(kw_only=True)
class Built:
    """Teachers, on the CPU, and sources by their specs, each built when it is first asked for."""

    teachers: dict[str, nn.Module] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    _sizes: dict[str, tuple[int, int] | None] = field(default_factory=dict, init=False)

    @cached_property
    def encoders(self) -> Encoders:
        """Pretrained weights that students asked for."""
        from kdcli.networks.encoders import Encoders

        return Encoders()

    def teacher(self, spec: str) -> nn.Module:
        """Return a teacher, frozen and in eval mode.

        Raises:
            PluginError, SpecError, WeightsError: as building it would.
        """
        from kdcli.models import load_teacher

        if spec not in self.teachers:
            self.teachers[spec] = load_teacher(spec)
        return self.teachers[spec]

    def source(self, spec: str) -> Source:
        """Return a source.

        Raises:
            ConfigError, DataError, PluginError, SpecError: as building it would.
        """
        from kdcli.sources import load_source

        if spec not in self.sources:
            self.sources[spec] = load_source(spec)
        return self.sources[spec]

    def image_size(self, spec: str) -> tuple[int, int] | None:
        """Return height and width of a source's images as they are; None for one that renders any.

        Raises:
            ConfigError, DataError, PluginError, SpecError: as building it would, or reading an image.
        """
        from kdcli.sources.image_size import image_size

        if spec not in self._sizes:
            self._sizes[spec] = image_size(self.source(spec))
        return self._sizes[spec]
