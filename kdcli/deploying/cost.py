"""What a file costs in accuracy: file and model on the same images with depth, pairwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from kdcli.choosing.measuring import usual_protocol
from kdcli.evals.results import compare, require_measured
from kdcli.evals.runner import evaluate
from kdcli.exporters.loaded import load_exported

if TYPE_CHECKING:
    from kdcli.evals.results import Result

SHOWN = ("abs_rel", "delta1")


def measured(model: nn.Module, path: Path, source: Any, spec: str) -> dict[str, Any]:
    """Measure a model and its file on a source with depth, under the source's usual protocol.

    Returns, for JSON: protocol, number of images, the model's and the file's metrics, and the change from the one to
    the other with its 95 % interval (a paired bootstrap over the images).

    Raises:
        ConfigError: a protocol that does not fit the model. DataError: no image has depth that counts.
    """
    protocol = usual_protocol(source)
    found = evaluate({"model": model, "file": load_exported(path)}, source, protocol, spec=spec)
    require_measured(list(found.values()))
    change = compare(found["file"], found["model"])
    return {
        "data": spec, "protocol": found["model"].protocol.name, "n": change.n,
        "model": _metrics(found["model"]), "file": _metrics(found["file"]),
        "change": {name: change.difference[name] for name in SHOWN},
        "ci95": {name: list(change.ci95[name]) for name in SHOWN},
    }


def _metrics(result: Result) -> dict[str, float]:
    return {name: result.metrics[name] for name in SHOWN}
