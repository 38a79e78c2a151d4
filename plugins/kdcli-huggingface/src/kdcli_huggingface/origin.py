"""Where a model's weights come from and on what terms, as far as its files say."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from huggingface_hub import metadata_load

from kdcli.files import sha256_of
from kdcli.types import Provenance
from kdcli_huggingface.files import Found, endpoint


def provenance_of(found: Found, location: str) -> Provenance:
    """Return the provenance of a model; its training data are not told in a form that could be read."""
    weights = found.weights[0] if len(found.weights) == 1 else found.folder
    notes = "" if found.repository is None else f"commit {found.commit}, {endpoint()}/{found.repository}"
    return Provenance(
        name=f"hf:{location}", weights=str(weights), sha256=_sha256(found.weights), licence=licence_of(found.folder),
        notes=notes,
    )


def licence_of(folder: Path) -> str:
    """Return the licence in the front matter of the model card (README.md); ``unknown`` where there is none."""
    try:
        card: Any = metadata_load(folder / "README.md")
    except Exception:  # no file, no text, or front matter that is no YAML: there is no licence to be read
        return "unknown"
    said = card.get("license") if isinstance(card, dict) else None
    if said == "other" and card.get("license_name"):
        said = card["license_name"]
    return ", ".join(map(str, said)) if isinstance(said, list) else str(said or "unknown")


def _sha256(weights: tuple[Path, ...]) -> str:
    """Return the sha256 of one file; of several, that of what ``sha256sum`` prints for them."""
    if len(weights) == 1:
        return sha256_of(weights[0])
    listing = "".join(f"{sha256_of(path)}  {path.name}\n" for path in weights)
    return hashlib.sha256(listing.encode()).hexdigest()
