"""Whether students begin with pretrained weights in their encoders: found out where that was left open, then said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from kdcli.choosing.built import Built
from kdcli.config.auto import AUTO, left_open
from kdcli.config.draft import Draft
from kdcli.config.references import STAGE
from kdcli.config.schema import RunConfig
from kdcli.errors import ConfigError, SpecError
from kdcli.plugins import registry
from kdcli.published.base import undrawn
from kdcli.spec import Spec, convert, hints, keys, parse
from kdcli.students.within import within

KEY = "pretrained"


def settle_pretrained(made: Draft, built: Built) -> None:
    """Put true or false in the place of ``auto``, of the run and of the specs of its students.

    Raises:
        KdcliError: a student cannot be built, or weights that are on this machine cannot be read.
    """
    if left_open(KEY, made.run.get(KEY)):
        inner = within(str(made.run.get("student", "mobilenet")))
        spec, factory = inner.spec, inner.factory
        asked = _takes_auto(factory) and KEY not in spec.options
        begun = _begun(spec, factory, built) if asked else []
        made.put(made.run, KEY, bool(begun), AUTO)
        if KEY not in spec.options and not _filled(spec, factory):
            made.reasons.append(_told(begun))
    for where in (made.run, *made.stages):
        text = where.get("student")
        if text is None or text.startswith(STAGE):
            continue
        inner = within(text)
        spec = inner.spec
        if spec.options.get(KEY) == AUTO:
            begun = _begun(spec, inner.factory, built)
            value = "true" if begun else "false"
            new = replace(spec if inner.around else parse(text), options={**spec.options, KEY: value})
            made.put(where, "student", str(inner.whole(new)), AUTO)
            made.reasons.append(_told(begun))


def with_pretrained(spec: Spec, factory: Callable[..., Any], config: RunConfig) -> Spec:
    """Return the spec of a run's student with what the run says of pretrained weights, where it does not say itself.

    Raises:
        ConfigError: the run wants them and the student knows none.
    """
    if KEY in spec.options or config.pretrained is None:
        return spec
    known = keys(factory).get(KEY)
    if known is None and config.pretrained:
        raise ConfigError(f"pretrained=true, but student '{spec}' has no pretrained encoder; use pretrained=false")
    if known is None or known.default == config.pretrained:
        return spec
    return replace(spec, options={**spec.options, KEY: str(config.pretrained).lower()})


def _begun(spec: Spec, factory: Callable[..., Any], built: Built) -> list[str]:
    """Return what the encoders of a student begin with where that can be had; it is built to be asked, and not kept."""
    if _filled(spec, factory):
        return []
    with torch.random.fork_rng(devices=[]), undrawn(), built.encoders.building() as begun:
        registry.build("student", replace(spec, options={**spec.options, KEY: AUTO}))
    return [weights.origin.name for weights in begun]


def _told(begun: list[str]) -> str:
    return f"encoder begins with {', '.join(begun)}" if begun else "encoder begins at random"


def _filled(spec: Spec, factory: Callable[..., Any]) -> bool:
    """Whether a file fills the whole network."""
    return spec.location is not None and (hasattr(factory, "weights") or hasattr(factory, "inside"))


def _takes_auto(factory: Callable[..., Any]) -> bool:
    if KEY not in keys(factory):
        return False
    try:
        return bool(convert(AUTO, hints(factory).get(KEY, bool), KEY) == AUTO)
    except SpecError:
        return False
