"""What an exported file says of itself: kind and range of its numbers, origin, terms."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from torch import nn

from kdcli.errors import WeightsError
from kdcli.exporters.endings import is_exported
from kdcli.made_for import told
from kdcli.students.files import find_student, read_card
from kdcli.text import block
from kdcli.types import MadeFor
from kdcli.version import __version__


def describe(model: nn.Module, card: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the metadata of an exported model; what is not a string is JSON.

    Args:
        model: its depth kind and range, provenance or card are read.
        card: what the student's file says (student, teacher, licence, training data ...); the model's own facts win.
    """
    facts: dict[str, Any] = {**(getattr(model, "card", None) or {}), **(card or {})}
    provenance = getattr(model, "provenance", None)
    if provenance is not None and is_dataclass(provenance):
        own = {key: value for key, value in asdict(provenance).items() if value not in (None, "")}  # type: ignore[arg-type]
        own.pop("sha256", None)
        facts = {**own, **facts}
    made = getattr(model, "made_for", None)
    if "made_for" not in facts and isinstance(made, MadeFor):
        facts["made_for"] = told(made)
    if "size" in facts:  # of training; the file's own size is another matter
        facts["trained_size"] = facts.pop("size")
    facts |= {
        "depth_kind": str(model.depth_kind),
        "depth_range": [float(bound) for bound in model.depth_range],  # type: ignore[union-attr]
        "unit": model.depth_kind.unit,  # type: ignore[union-attr]
        "kdcli": __version__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sha256": fingerprint(model),
    }
    facts = without_folders(facts)
    texts = {key: v if isinstance(v, str) else json.dumps(v, default=str) for key, v in facts.items()}
    return {key: block(text) for key, text in texts.items()}  # formats hold UTF-8, which a path need not be


_FOLDERS = re.compile(r"(?:^|(?<=[\s:,=|\[]))(?:[A-Za-z]:)?[\\/](?:[^\\/,|\]]+[\\/])+(?=[^\\/\s,|\]])")


def without_folders(value: Any) -> Any:
    """Return facts without the folders of this machine: a file that is handed on tells names and hashes."""
    if isinstance(value, str):
        return _FOLDERS.sub("", value)
    if isinstance(value, Mapping):
        return {key: without_folders(one) for key, one in value.items()}
    return [without_folders(one) for one in value] if isinstance(value, list | tuple) else value


def card_of(text: str) -> dict[str, Any]:
    """Return the card of a student named on the command line; empty for models that have none."""
    if text.startswith("teacher:") or is_exported(text):
        return {}
    try:
        return read_card(find_student(Path(text)))
    except WeightsError:
        return {}


def fingerprint(model: nn.Module) -> str:
    """Return the sha256 of a model's tensors, by name in name order: the same whatever file they were in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
