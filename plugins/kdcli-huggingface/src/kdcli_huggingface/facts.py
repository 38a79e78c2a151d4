"""What a network was made for, told by its processor, its configuration and the names that it has."""

from __future__ import annotations

import re
from typing import Any, Literal

from kdcli.types import DepthKind, MadeFor
from kdcli_huggingface.meaning import FAR, Meaning
from kdcli_huggingface.preprocess import Plan

DRIVING = 80.0
"""Metres that metric networks for roads reach: Depth Anything on Virtual KITTI, GLPN and ZoeDepth on KITTI."""

_WORDS: dict[Literal["indoor", "driving"], str] = {
    "indoor": r"nyu|hypersim|indoor|scannet|sunrgbd",
    "driving": r"v?kitti|outdoor|driving|ddad|cityscapes",
}
"""Scenes -> words of repositories, folders and heads that mean them."""


def made_for(config: Any, plan: Plan, meaning: Meaning, *names: str | None) -> MadeFor:
    """Return what is known of a network.

    The size of training is that to which its processor brings images: the network sees it whatever images it is
    shown, so no size of measuring is told. Scenes are those that its names agree on, or else those that its greatest
    depth tells.

    Args:
        config: of transformers.
        plan: what the processor does.
        meaning: what the numbers mean.
        names: of folder and repository.
    """
    metric = meaning.kind is DepthKind.METRIC and meaning.high < FAR
    return MadeFor(
        train_size=plan.fixed or plan.target, domain=_domain(config, meaning, [name for name in names if name]),
        near=(meaning.low or None) if metric else None, far=meaning.high if metric else None,
    )


def _domain(config: Any, meaning: Meaning, names: list[str]) -> Literal["indoor", "driving", "any"]:
    heads = [str(one.get("name", "")) for one in getattr(config, "bin_configurations", None) or ()]
    # Only the last part of a path: where somebody keeps a model tells nothing of it.
    said = " ".join([*(re.split(r"[/\\]", name.rstrip("/\\"))[-1] for name in names), *heads]).lower()
    found = [domain for domain, words in _WORDS.items() if re.search(rf"(?<![a-z])(?:{words})", said)]
    if found:
        return found[0] if len(found) == 1 else "any"
    if meaning.kind is not DepthKind.METRIC or meaning.high >= FAR:
        return "any"
    return "driving" if meaning.high == DRIVING else "indoor" if meaning.high <= DRIVING / 4 else "any"
