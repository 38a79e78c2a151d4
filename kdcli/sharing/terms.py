"""Licences of those that a student learned from, and what they mean for it; no advice of a lawyer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

HUB_LICENCES = {
    "apache-2.0": "apache-2.0", "mit": "mit", "bsd-2-clause": "bsd-2-clause", "bsd-3-clause": "bsd-3-clause",
    "gpl-3.0": "gpl-3.0", "gpl-3.0-only": "gpl-3.0", "gpl-3.0-or-later": "gpl-3.0", "gpl-2.0": "gpl-2.0",
    "lgpl-3.0": "lgpl-3.0", "agpl-3.0": "agpl-3.0", "cc0-1.0": "cc0-1.0", "cc-by-4.0": "cc-by-4.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0", "cc-by-nc-4.0": "cc-by-nc-4.0", "cc-by-nc-sa-4.0": "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0": "cc-by-nc-nd-4.0",
}
"""Licences, in small letters, and how the hub spells them; beside these it takes ``other`` and ``unknown`` alone."""


TRUTH = "ground-truth"
"""Name of the teacher that is no network."""


class Terms(StrEnum):
    """What a licence means for a student, as a sentence of its card."""

    FREE = "allows use, also commercial; keep its notice with what you hand on."
    SHARE = (
        "asks that what is derived from it is handed on under the same terms; whether a student is, is not settled: "
        "treat it as if it were."
    )
    FORBIDS = "forbids commercial use: treat this student as forbidden for commercial use, too."
    UNKNOWN = (
        "states no licence, so that nothing is allowed by default: ask its authors before you use this student for "
        "more than trying it out."
    )
    OTHER = "has terms of its own: read them before you use this student."


_FREE = re.compile(r"^(apache|mit\b|bsd|isc|cc0|cc-by-\d|unlicense|0bsd|zlib)")
_SHARE = re.compile(r"^(a|l)?gpl|^cc-by-sa|^mpl|^eupl")
_FORBIDS = re.compile(r"\bnc\b|non-?\s?commercial|not for commerc|research|academic|evaluation only")
_UNKNOWN = frozenset({"", "unknown", "none", "none stated", "null", "other"})


def meaning(licence: str | None) -> Terms:
    """Return what a licence, as text, means for a student."""
    text = (licence or "").strip().lower()
    parts = [part.strip() for part in re.split(r"[,;+]| and ", text)] if text else [""]
    found = [_of_one(part) for part in parts]
    strictest = (Terms.FORBIDS, Terms.UNKNOWN, Terms.OTHER, Terms.SHARE)
    return next((term for term in strictest if term in found), Terms.FREE)


def origins(card: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the networks that a student has something of, by part: teachers, then what it began with."""
    taught = [("teacher", one) for one in card.get("teachers") or []]
    return taught + [("begun from", one) for one in card.get("begun_from") or []]


def taught_by(card: Mapping[str, Any]) -> list[str]:
    """Return the specs of the networks that taught a student; ground truth is none."""
    return [str(one["spec"]) for one in card.get("teachers") or [] if one.get("name") != TRUTH]


def head_of(licences: Iterable[str]) -> dict[str, str]:
    """Return the keys of a card's head that name the student's licence, in the hub's spelling."""
    names = sorted({name.strip() for name in licences})
    spelled = {HUB_LICENCES.get(name.lower()) for name in names}
    if len(spelled) == 1 and None not in spelled:
        return {"license": str(spelled.pop())}
    if not names or all(name.lower() in _UNKNOWN for name in names):
        return {"license": "unknown"}
    return {"license": "other", "license_name": "terms-of-its-teachers", "license_link": "README.md"}


def _of_one(text: str) -> Terms:
    if text in _UNKNOWN:
        return Terms.UNKNOWN
    if _FORBIDS.search(text):
        return Terms.FORBIDS
    if _SHARE.match(text):
        return Terms.SHARE
    return Terms.FREE if _FREE.match(text) else Terms.OTHER
