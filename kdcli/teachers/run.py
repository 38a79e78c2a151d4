"""Any finished run, or a student's file, as a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from kdcli.files import sha256_of
from kdcli.networks.read_out import read_out_of
from kdcli.protocols import API_VERSION
from kdcli.students.files import find_student, load_student
from kdcli.types import DepthKind, MadeFor, Prediction, Provenance, Tap


class StudentAsTeacher(nn.Module):
    """A student from its file, frozen, with the provenance that its card tells."""

    def __init__(self, path: Path, *, name: str) -> None:
        super().__init__()
        network, card = load_student(path)
        self.network = network
        self.depth_kind: DepthKind = network.depth_kind  # type: ignore[assignment]
        self.depth_range: tuple[float, float] = tuple(card["depth_range"])
        self.made_for: MadeFor | None = network.made_for  # type: ignore[assignment]
        self.read_out = read_out_of(network)
        self.taps: Mapping[str, Tap] = {
            key: Tap(module=f"network.{tap.module}", stride=tap.stride, channels=tap.channels)
            for key, tap in network.taps.items()  # type: ignore[union-attr,operator]
        }
        self.provenance = Provenance(
            name=name,
            weights=str(path),
            sha256=sha256_of(path),
            licence=str(card.get("licence", "unknown")),
            training_data=str(card.get("training_data", "unknown")),
        )
        self.card: dict[str, Any] = card
        self.eval()

    def forward(self, image: Tensor) -> Prediction:
        """Predict as the student does."""
        prediction: Prediction = self.network(image)
        return prediction


class RunTeacher(StudentAsTeacher):
    """A finished run (its folder) or a student's safetensors file."""

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, location: str) -> None:
        super().__init__(find_student(Path(location)), name=f"run:{location}")
