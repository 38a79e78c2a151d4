"""An exported file as a model again, so that it can be evaluated, compared and shown like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import WeightsError
from kdcli.exporters.endings import ENDINGS, format_of
from kdcli.guard.metadata import count_of, made_for_of, range_of, value_of
from kdcli.plugins import registry
from kdcli.plugins.blame import blame
from kdcli.protocols import Exporter
from kdcli.types import DepthKind, Prediction, Provenance, Tap


class ExportedModel(nn.Module):
    """An exported file: depth kind and range from its metadata; runs on the CPU whatever the device of the image.

    Images of another size than the file takes are resized inside, batches it does not take are split.
    """

    differentiable = False

    def __init__(self, call: Callable[[Tensor], Tensor], *, path: Path, metadata: Mapping[str, str]) -> None:
        super().__init__()
        self._call = call
        self._batch: int | None = getattr(call, "batch", None)
        self.input_size: tuple[int, int] | None = getattr(call, "size", None)
        self._outputs: tuple[str, ...] = getattr(call, "outputs", ("depth",))
        self.card: dict[str, Any] = {key: value_of(text) for key, text in metadata.items()}
        self.taps: Mapping[str, Tap] = {}
        self.outside_parameters = count_of(metadata.get("parameters"))
        self.outside_work = path.suffix != ".pt2"  # which PyTorch itself runs
        kind, bounds = metadata.get("depth_kind"), range_of(metadata.get("depth_range"))
        if kind not in list(DepthKind) or bounds is None:
            raise WeightsError(
                f"'{path}' does not say what its numbers mean (depth_kind, depth_range in its metadata); "
                "only files written by `kdcli export` can be opened"
            )
        self.depth_kind, self.depth_range = DepthKind(kind), bounds
        try:
            self.made_for = made_for_of(metadata, self.input_size)
        except ValueError as error:
            raise WeightsError(f"the metadata of '{path}' is damaged ({error}); export it again") from None
        self.provenance = Provenance(
            name=path.name, weights=str(path), sha256=metadata.get("sha256"),
            licence=metadata.get("licence", "unknown"), training_data=metadata.get("training_data", "unknown"),
        )

    @property
    def batch(self) -> int | None:
        """How many images the file takes at a time; None = any number."""
        return self._batch

    @property
    def runs(self) -> bool:
        """Whether anything on this machine runs the file."""
        return bool(getattr(self._call, "runs", True))

    def prepared(self, image: Tensor) -> Callable[[], object]:
        """Return what runs the file once on images of its own size and number, for measuring how long that takes.

        Formats of others that know nothing of that are called as they are.
        """
        own: Callable[[Tensor], Callable[[], object]] | None = getattr(self._call, "prepared", None)
        return (lambda: self._call(image)) if own is None else own(image)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Prediction:
        """Predict depth B x 1 x h x w at the file's own output size, and how sure of it where the file tells."""
        size = self.input_size
        if size is not None and tuple(image.shape[-2:]) != size:
            image = functional.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
        chunks = torch.split(image, self._batch) if self._batch is not None else (image,)
        if self._outputs == ("depth",):
            return Prediction(depth=torch.cat([self._call(chunk) for chunk in chunks]), kind=self.depth_kind)
        parts = [self._call.all(chunk) for chunk in chunks]  # type: ignore[attr-defined]
        said = {name: torch.cat([part[name] for part in parts]) for name in self._outputs}
        return Prediction(depth=said["depth"], kind=self.depth_kind, std=said.get("std"), entropy=said.get("entropy"))


def load_exported(path: Path) -> ExportedModel:
    """Open a file that ``kdcli export`` wrote, in the format that its ending stands for.

    Raises:
        WeightsError: missing, broken, foreign, or of another ending. ConfigError: its format's package is missing.
    """
    if not path.exists():
        raise WeightsError(f"there is no exported file at '{path}'; check the path")
    name = format_of(path)
    if name is None:
        raise WeightsError(f"'{path}' has no ending of an exported file ({', '.join(ENDINGS)}); "
                           "give a file written by `kdcli export`")
    exporter: Exporter = registry.build("exporter", name)
    with blame(exporter, "load"):
        call = exporter.load(path)
    return ExportedModel(call, path=path, metadata=getattr(call, "metadata", {}))
