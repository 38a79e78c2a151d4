"""Images of a source by a list of numbers: those that a score has chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

import kdcli
from kdcli.errors import DataError
from kdcli.protocols import API_VERSION, plugin
from kdcli.types import Batch, Finding, Sample


class Chosen:
    """The images of another source at some positions, which may stand there several times."""

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, inner: Any, picks: list[int], name: str) -> None:
        self.inner, self.picks, self.name = inner, picks, name
        self.depth_kind, self.has_instances = inner.depth_kind, getattr(inner, "has_instances", False)

    def __len__(self) -> int:
        return len(self.picks)

    def __getitem__(self, i: int) -> Sample:
        """Return one image as the other source has it."""
        found: Sample = self.inner[self.picks[i]]
        return found

    def batch(
        self, indices: Sequence[int] | Tensor, size: tuple[int, int] | None = None, device: torch.device | str = "cpu"
    ) -> Batch:
        """Render images of a simulated source."""
        found: Batch = self.inner.batch([self.picks[int(i)] for i in indices], size, device)
        return found

    def check(self) -> list[Finding]:
        """Say what the other source says."""
        found: list[Finding] = self.inner.check()
        return found


@plugin
def chosen(location: str) -> Chosen:
    """Return the images that a file names, ``{"source": SPEC, "picks": [...]}``.

    Raises:
        DataError: no such file, or another one.
    """
    try:
        document = json.loads(Path(location).read_text())
        picks = [int(i) for i in document["picks"]]
        return Chosen(kdcli.build("source", document["source"]), picks, f"chosen:{location}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"'{location}' is no list of chosen images ({error}); write it with python -m kdcli_trials.choose"
        ) from None
