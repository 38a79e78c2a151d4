"""``kdcli fit-transform``: one stage that fits a transformation network, on its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from kdcli.config import RunConfig, StageConfig
from kdcli.errors import ConfigError
from kdcli.files import require_writable
from kdcli.training.fit_stage import fit_stage
from kdcli.training.parts import Workshop
from kdcli.transform import load


def fit_transform(
    stage: StageConfig, path: Path, *, seed: int = 0, device: torch.device | str = "cpu",
    told: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Fit a network as a stage with ``train="transform"`` describes it, write it, and return its provenance.

    The document holds ``before`` and ``after`` (statistics loss on images set aside), ``change``, ``layers``,
    ``steps``, ``seconds``, the teacher and the data. ``told`` hears what is being done, how far it is, and of how much.

    Raises:
        ConfigError: a name that does not end in ``.safetensors``, or a teacher without batch norms.
        DataError, PluginError, WeightsError: the source or the teacher cannot be used.
    """
    if path.suffix != ".safetensors":
        raise ConfigError(f"'{path}' does not end in .safetensors; write '{path.with_suffix('.safetensors')}'")
    require_writable(path)  # before the work whose result it is to hold
    shop = Workshop(config=RunConfig(recipe="fit-transform", seed=seed, stages=(stage,)), device=torch.device(device))
    fit_stage(shop, stage, path, told or (lambda what, done, total: None))
    return {"out": str(path), **load(path)[1]}
