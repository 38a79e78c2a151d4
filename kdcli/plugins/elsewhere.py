"""What to say of a plugin that is not there: which package has it, or that a path stands where its name belongs."""

from __future__ import annotations

from pathlib import Path

from kdcli.spec import named_path

_PYDNET = frozenset({"pydnet", "pydnetpp", "upydnet"})
PACKAGES: dict[str, dict[str, frozenset[str]]] = {
    "kdcli-huggingface": {"teacher": frozenset({"hf"}), "source": frozenset({"hf"})},
    "kdcli-pydnet": {"teacher": _PYDNET, "student": _PYDNET},
}
"""Distribution -> kind -> names of plugins that are developed along with kdcli and installed apart from it; not of
methods, whose names kdcli does not know."""


def advice(kind: str, name: str) -> str | None:
    """Return a sentence of what to do; None where nothing is known of the name."""
    for package, kinds in PACKAGES.items():
        if name in kinds.get(kind, ()):
            return f"It comes with another package; run: pip install {package}"
    if not Path(name).exists() or kind not in ("source", "teacher", "student"):
        return None
    spec = f"folder:{name}" if kind == "source" else named_path(name)
    if kind != "source" and spec.startswith("folder:"):
        return f"It is a path, and a {kind} is a network; images are given as --data folder:{name}"
    return f"It is a path; write {spec}"
