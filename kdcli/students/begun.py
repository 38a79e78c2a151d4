"""A network to go on with: a student's spec, or what a finished run came to."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from kdcli.errors import ConfigError
from kdcli.files import sha256_of
from kdcli.plugins import registry
from kdcli.protocols import DepthModel, plugin
from kdcli.students.calibrated import Calibrated
from kdcli.students.files import find_student, load_student
from kdcli.types import Provenance

RUN = "run:"
FILE = ".safetensors"


@plugin
def run(location: str) -> nn.Module:
    """What a finished run came to (its folder, or a student's file), to be trained further: ``run:RUN``.

    Raises:
        WeightsError: no such run or file. ConfigError: a student that was calibrated.
    """
    return begun(f"{RUN}{location}")


def is_trained(text: str) -> bool:
    """Whether a text names a finished run or a student's file, not a student's spec."""
    return text.startswith(RUN) or text.endswith(FILE)


def begun(text: str) -> nn.Module:
    """Return the whole network, on the CPU, and ready to learn.

    Raises:
        WeightsError: no such run or file. ConfigError: a student that was calibrated, or no network.
        SpecError, PluginError: as building a student.
    """
    if not is_trained(text):
        made = registry.build("student", text)
        if not isinstance(made, nn.Module) or not isinstance(made, DepthModel):
            raise ConfigError(f"student '{text}' is no network, so that nothing can begin with it")
        return made
    path = find_student(Path(text.removeprefix(RUN)))
    network, card = load_student(path)
    if isinstance(network, Calibrated):
        raise ConfigError(
            f"'{text}' was calibrated: begin with the student as its run left it, and calibrate what comes of it"
        )
    network.provenance = Provenance(  # type: ignore[assignment]
        name=text if text.startswith(RUN) else f"{RUN}{text}", weights=str(path), sha256=sha256_of(path),
        licence=str(card.get("licence", "unknown")), training_data=str(card.get("training_data", "unknown")),
    )
    # It knows its depth: neither does it begin anew at another, nor do its numbers come to mean something else.
    network.begin_at = None  # type: ignore[assignment]
    network.any_kind = False  # type: ignore[assignment]
    return network
