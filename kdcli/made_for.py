"""What a model was made for, as files tell it, and as several models have it in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from kdcli.errors import SpecError
from kdcli.spec import MOST_SIDE, parse
from kdcli.types import MadeFor

DOMAINS = ("indoor", "driving", "any")
FITS = ("stretch", "within", "around")
SOURCES = ("transfer", "test")
"""Images that a run trains or is measured on where nobody names any. A stranger's file must not choose files of this
machine, or a plugin: only simulated ones are read and written."""
_LONGEST = 1000
"""Letters of a source's spec that may be meant."""


def told(made: MadeFor) -> dict[str, Any]:
    """Return it for JSON, without what is not known, and without sources that a file may not name."""
    known = {
        key: value for key, value in asdict(made).items()
        if value is not None and (key not in SOURCES or _simulated(value))
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in known.items()}


def read(document: Any) -> MadeFor:
    """Return what ``told`` wrote; keys that are not known are left.

    Raises:
        ValueError: it is something else; the message is half a sentence.
    """
    if not isinstance(document, Mapping):
        raise ValueError("made_for is no JSON object")
    known: dict[str, Any] = {
        one.name: document[one.name] for one in fields(MadeFor) if document.get(one.name) is not None
    }
    known |= {key: tuple(value) for key, value in known.items() if isinstance(value, list)}
    made = MadeFor(**known)
    if wrong := fault(made):
        raise ValueError(wrong)
    return made


def fault(made: MadeFor) -> str | None:
    """Return what does not hold of it, as half a sentence; None where all is well."""
    for key in ("train_size", "eval_size"):
        size = getattr(made, key)
        if size is not None and not _is_size(size):
            return f"{key} of made_for is {str(size)[:40]}, not height and width in pixels"
    if made.domain not in DOMAINS:
        return f"domain of made_for is {str(made.domain)[:40]}, not one of {', '.join(DOMAINS)}"
    if made.fit not in FITS:
        return f"fit of made_for is {str(made.fit)[:40]}, not one of {', '.join(FITS)}"
    for key in ("near", "far"):
        end = getattr(made, key)
        if end is not None and not (_is_number(end) and 0 <= end < math.inf):
            return f"{key} of made_for is {str(end)[:40]}, not a distance in metres"
    if made.near is not None and made.far is not None and not made.near < made.far:
        return f"near of made_for is {made.near:g}, not less than far, {made.far:g}"
    for key in SOURCES:
        spec = getattr(made, key)
        if spec is not None and not _simulated(spec):
            return f"{key} of made_for is {str(spec)[:40]!r}, no simulated source (sim:...)"
    return None


def common(several: Sequence[MadeFor | None]) -> MadeFor | None:
    """Return what models that work as one were made for; None where none of them says.

    Sizes are the first one's that speaks; scenes and sources are those in which all that speak agree; the range
    spans all of theirs.
    """
    known = [made for made in several if made is not None]
    if not known:
        return None
    domains = {made.domain for made in known}
    worlds = {(made.transfer, made.test) for made in known}
    transfer, test = worlds.pop() if len(worlds) == 1 else (None, None)
    return replace(
        known[0], domain=domains.pop() if len(domains) == 1 else "any", transfer=transfer, test=test,
        near=min((made.near for made in known if made.near is not None), default=None),
        far=max((made.far for made in known if made.far is not None), default=None),
    )


def _simulated(spec: Any) -> bool:
    if not isinstance(spec, str) or not 0 < len(spec) <= _LONGEST:
        return False
    try:
        return parse(spec).name == "sim"
    except SpecError:
        return False


def _is_size(value: Any) -> bool:
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    return all(isinstance(side, int) and not isinstance(side, bool) and 0 < side <= MOST_SIDE for side in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
