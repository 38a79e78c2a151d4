"""What trainers put around a network's weights: the one list of their keys, for loading and for converting.

A file may hold the weights under a key or keys in keys (``{'checkpoint': {'model': ...}}``), beside an optimiser and
much else, each name with the same words before it (``module.``, ``model.net.``), and more than one network: a running
average, a teacher, a critic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

FIRM = ("model", "state_dict", "model_state_dict", "net", "network", "model_state", "net_state_dict")
"""Keys of the network that was trained, where a file holds one; the first ones first."""

VAGUE = ("weights", "params", "parameters", "module", "checkpoint")
"""Keys that may be of that network, or of something beside it."""

COPIES = ("ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "model_ema_state_dict", "params_ema",
          "ema_params", "net_ema", "ema_weights", "averaged_model", "avg_model", "swa_model", "online_model",
          "target_model", "student", "student_state_dict", "teacher", "teacher_state_dict", "student_model",
          "teacher_model", "generator", "net_g", "netg", "g_ema", "discriminator", "net_d", "netd", "critic")
"""Keys of one network out of several that are trained together, or of an average of one."""

_OTHER = re.compile(
    r"(.*_)?(optim|optimi[sz]ers?\d*|schedulers?|scaler|amp|rng|callbacks|hyper_parameters|loops|sampler)(_.*)?"
    r"|(lr|loop)_.*"
)
"""Keys of what is no network, whatever tensors it holds: the moments of an optimiser have its parameters' shapes."""

COPY = len(FIRM) + len(VAGUE)
UNKNOWN = COPY + 1

_COUNTERS = frozenset({"n_averaged", "num_updates", "num_averaged"})
"""Names that averages of models keep beside the weights."""

def is_network(key: str) -> bool:
    """Whether what lies under a key can be a network."""
    return _OTHER.fullmatch(_word(key)) is None


def rank(key: str) -> int:
    """Return what a key, a path with dots, is likely to be of.

    From 0: the network that was trained, the likeliest key first; then ``COPY``, one of several networks; then
    ``UNKNOWN``.
    """
    words = [_word(word) for word in key.split(".")]
    if not set(words) <= {*FIRM, *VAGUE, *COPIES}:
        return UNKNOWN
    return COPY if set(words) & set(COPIES) else min((*FIRM, *VAGUE).index(word) for word in words)


def without_counters(tensors: Mapping[str, T]) -> dict[str, T]:
    """Return the tensors without the counters that averages of models keep beside them."""
    return {name: value for name, value in tensors.items() if name not in _COUNTERS or len(tensors) == 1}


def without_prefix(state: Mapping[str, T]) -> tuple[dict[str, T], str]:
    """Return the tensors without what stands before every one of their names, and what that is."""
    prefix = common_prefix(state)
    return {name[len(prefix):]: value for name, value in state.items()}, prefix


def common_prefix(names: Iterable[str]) -> str:
    """Return what stands before every name, up to a dot, and is a wrapper's.

    A number is a place in a sequence; the words before the numbers of a single layer (``conv.weight``, ``conv.bias``)
    are its own, unless they are words that only wrappers use.
    """
    names = list(names)
    prefix = usual = ""
    while names:
        root, dot, rest = names[0][len(prefix):].partition(".")
        longer = f"{prefix}{root}."
        if not (root and dot and rest) or root.isdigit() or not all(name.startswith(longer) for name in names):
            break
        if usual == prefix and _word(root) in {*FIRM, *VAGUE, *COPIES, "_orig_mod"}:
            usual = longer
        prefix = longer
    several_layers = len(names) > 1 and any("." in name[len(prefix):] for name in names)
    return prefix if several_layers else usual


def networks_of(tensors: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """Return the networks that lie side by side in one flat set of names; empty where it is that of one network.

    ``student.`` and ``teacher.`` before the names, or ``model.`` and ``ema.``, are those of two networks.
    """
    parts: dict[str, dict[str, T]] = {}
    for name, value in tensors.items():
        root, dot, rest = name.partition(".")
        if dot and _word(root) in {*FIRM, *VAGUE, *COPIES}:
            parts.setdefault(root, {})[rest] = value
    return parts if len(parts) > 1 and any(_word(root) in COPIES for root in parts) else {}


def named(keys: Iterable[str], wanted: str) -> list[str]:
    """Return the keys that a user's word means: the key itself, or else those that end in it."""
    keys = list(keys)
    return [key for key in keys if key == wanted] or [key for key in keys if f".{key}".endswith(f".{wanted}")]


def _word(key: Any) -> str:
    return str(key).lower().replace("-", "_")
