"""The head of a model card: what the hub reads of it, as YAML."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from kdcli.errors import ConfigError
from kdcli.sharing.facts import Facts
from kdcli.sharing.private import cleaned
from kdcli.sharing.terms import head_of, origins

METRICS = {
    "abs_rel": "AbsRel", "rmse": "RMSE", "delta1": "delta1", "silog": "SILog x100",
}
"""Metrics of the card, and how people know them."""
_TAGS = ["depth-estimation", "monocular-depth-estimation", "knowledge-distillation", "kdcli"]


def head(facts: Facts, name: str) -> str:
    """Return the YAML between the lines of dashes, with the student's results under one model.

    name: of the model.

    Raises:
        ConfigError: the hub's client, which knows its form, is not installed.
    """
    try:
        from huggingface_hub import EvalResult, ModelCardData
    except ImportError as error:
        raise ConfigError(
            "a card's head needs the hub's client; install it with: pip install 'kdcli[huggingface]'"
        ) from error
    results = [EvalResult(**one) for one in results_of(facts)]
    told: dict[str, Any] = {"model_name": name, "eval_results": results} if results else {}
    told |= head_of(str(one.get("licence") or "unknown") for _, one in origins(facts.card))
    formats = sorted({one.path.suffix.removeprefix(".") for one in facts.exported})
    data = ModelCardData(
        library_name="kdcli", pipeline_tag="depth-estimation", tags=[*_TAGS, *formats], **told
    )
    return str(data.to_yaml()).strip()


def results_of(facts: Facts) -> list[dict[str, Any]]:
    """Return the student's numbers in the form of ``EvalResult``: plain floats, their protocol beside them."""
    result: Mapping[str, Any] | None = facts.results.get("student")
    if result is None:
        return []
    spec = str(cleaned(result["spec"]))
    protocol = result["protocol"]
    asked = {"protocol": protocol["name"], "protocol_hash": protocol["hash"], "alignment": str(result.get("align")),
             "images": int(result["n"])}
    rows = []
    for metric, title in METRICS.items():
        value = result["metrics"].get(metric)
        if value is None or not math.isfinite(value):
            continue
        low, high = result["ci95"].get(metric, (None, None))
        rows.append({
            "task_type": "depth-estimation", "dataset_type": re.split(r"[:,]", spec)[0], "dataset_name": spec,
            "dataset_args": dict(asked), "metric_type": metric, "metric_name": title, "metric_value": float(value),
            **({} if low is None else {"metric_args": {"ci95": [float(low), float(high)]}}),
        })
    return rows
