"""The mixer that does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kdcli.protocols import API_VERSION

if TYPE_CHECKING:
    from kdcli.protocols import MixContext
    from kdcli.types import Batch


class NoMixer:
    """Return every batch as it came: plain distillation, the baseline of mixing."""

    api_version: ClassVar[int] = API_VERSION

    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return the batch itself."""
        return batch
