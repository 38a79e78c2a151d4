"""``MODEL`` on the command line: run folder, student's file or repository, exported file, or ``teacher:SPEC``."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import nn

from kdcli.errors import ConfigError, PluginError, WeightsError
from kdcli.exporters.endings import is_exported
from kdcli.plugins import registry
from kdcli.protocols import DepthModel
from kdcli.students.files import find_student, load_student


def load_model(model: str | Path, device: torch.device | str = "cpu") -> nn.Module:
    """Load a model in eval mode: images B x 3 x H x W in 0..1 in, ``Prediction`` out.

    ``model``: a run folder (``RUN`` or, as teachers are named, ``run:RUN``), ``.safetensors`` student,
    ``hf:ORG/NAME[@REVISION]`` (a student that ``kdcli push`` brought to the hub; fetched once, then from its cache), an
    exported file (``.onnx``, ``.pt2``, ``.xml``, ...), or ``teacher:SPEC``.

    Raises:
        ConfigError: an empty name. WeightsError: no such file or repository, or one that is broken. PluginError,
            SpecError: a teacher that is unknown or broken.
    """
    text = str(model)
    if not text:
        raise ConfigError("MODEL is empty; give a run folder, a .safetensors student, hf:ORG/NAME, an exported "
                          "file or teacher:SPEC")
    if text.startswith("predictions:"):
        raise ConfigError(f"'{text}' lies on disk and can be measured, not run; use kdcli eval {text} --data SPEC")
    if text.startswith("teacher:"):
        loaded = load_teacher(text.removeprefix("teacher:"))
    elif is_exported(text):
        from kdcli.exporters.loaded import load_exported

        loaded = load_exported(Path(text))
    else:
        _no_teacher(text)
        loaded, _ = load_student(find_student(Path(text.removeprefix("run:"))))
    return loaded.to(device).eval()


def _no_teacher(text: str) -> None:
    """Refuse the spec of a teacher without ``teacher:``; ``run:`` and ``hf:`` mean students here."""
    name = re.split("[:,]", text)[0]
    if name not in ("run", "hf") and not Path(text).exists() and name in registry.names("teacher"):
        raise WeightsError(f"there is no model at '{text}'; for the teacher of that name write teacher:{text}")


def load_teacher(spec: str) -> nn.Module:
    """Build a teacher, frozen and in eval mode, and check that it keeps the contract.

    Raises:
        PluginError: it is no depth model.
    """
    teacher = registry.build("teacher", spec)
    if not isinstance(teacher, nn.Module) or not isinstance(teacher, DepthModel):
        raise PluginError(
            f"teacher '{spec}' is no depth model: it lacks depth_kind, depth_range or taps; report it to its author"
        )
    return teacher.requires_grad_(False).eval()
