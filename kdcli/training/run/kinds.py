"""Whether the numbers of a stage's networks mean the same."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from kdcli.errors import ConfigError
from kdcli.types import DepthKind


def check_kinds(spec: str, student: nn.Module, teachers: Mapping[str, nn.Module]) -> None:
    """Check that a student's numbers mean what its teachers' do.

    Raises:
        ConfigError: they do not.
    """
    kinds = kinds_of(teachers)
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"'{name}' gives {kind}" for name, kind in kinds.items())
        raise ConfigError(f"teachers of several depth kinds cannot teach one student: {told}; use one kind")
    for name, kind in kinds.items():
        if kind != kind_of(student):
            raise ConfigError(
                f"student '{spec}' gives {student.depth_kind}, teacher '{name}' {kind}; choose a student of that kind"
            )


def kinds_of(teachers: Mapping[str, nn.Module]) -> dict[str, DepthKind]:
    """Return what the numbers of each teacher mean, by its name."""
    return {name: kind_of(teacher) for name, teacher in teachers.items()}


def kind_of(model: nn.Module) -> DepthKind:
    """Return what a model's numbers mean."""
    return DepthKind(str(model.depth_kind))
