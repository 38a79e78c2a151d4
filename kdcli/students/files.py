"""A student's own file: safetensors that say which network they belong to and what its numbers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kdcli.errors import WeightsError
from kdcli.plugins import registry
from kdcli.types import DepthKind
from kdcli.version import __version__
from kdcli.weights import load_into, load_state, read_metadata, save

CARD = "kdcli.student"
"""Key of the safetensors metadata under which the card lies, as JSON."""


def save_student(
    path: Path, student: nn.Module, spec: str, facts: Mapping[str, Any], state: Mapping[str, Tensor] | None = None
) -> None:
    """Write a student with its spec, depth kind, range and whatever else is known of it.

    ``state`` replaces the student's own tensors (an averaged copy, say).
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in (state or student.state_dict()).items()}
    card = {
        # A student that was begun from weights is rebuilt without them: its own file holds what it learned.
        "student": str(getattr(student, "architecture", spec)),
        "depth_kind": str(student.depth_kind),
        "depth_range": list(student.depth_range),  # type: ignore[arg-type]
        "kdcli": __version__,
        **facts,
    }
    save(path, tensors, {CARD: json.dumps(card, default=str)})


def read_card(path: Path) -> dict[str, Any]:
    """Return what a student's file says of itself.

    Raises:
        WeightsError: no safetensors, or not written by kdcli.
    """
    metadata = read_metadata(path)
    if CARD not in metadata:
        raise WeightsError(
            f"'{path}' does not say which student it holds; only files written by kdcli can be opened by path"
        )
    card: dict[str, Any] = json.loads(metadata[CARD])
    return card


def load_student(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a student from its file, on the CPU in eval mode, and return it with its card.

    Raises:
        WeightsError: missing, broken or foreign file. PluginError: its network's plugin is not installed.
    """
    card = read_card(path)
    student = registry.build("student", str(card["student"]))
    load_into(
        student,
        {name: value.float() if value.is_floating_point() else value for name, value in load_state(path).items()},
        str(path),
    )
    student.depth_kind = DepthKind(card["depth_kind"])
    student.card = card
    student.eval()
    return student, card
