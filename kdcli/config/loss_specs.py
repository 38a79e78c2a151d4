"""The spec of a loss in a stage: the plugin's own keys, and those that belong to every loss.

``teacher=NAME`` (several: ``A|B``) chooses among the stage's teachers, ``as=NAME`` names the loss.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from kdcli.config.looks import LOOKS
from kdcli.errors import ConfigError
from kdcli.spec import Spec, parse

RESERVED = ("teacher", "as")
"""Keys of every loss's spec that its plugin does not see."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_TAKEN = re.compile(rf"(student|task|transform|mixer\d+)$|(student|transform|{'|'.join(LOOKS)})\.")
"""Names of what else a stage freezes, logs or keeps a state of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpec:
    """What a stage says of a loss."""

    spec: Spec
    """For the plugin: without the keys of every loss."""
    name: str
    teachers: tuple[str, ...] = ()
    """Names of the teachers that it sees; all where none is named."""


def loss_spec(text: str) -> LossSpec:
    """Take a loss's text apart.

    Raises:
        SpecError: it is no spec. ConfigError: a name that is none or taken, or a list of teachers that is none.
    """
    spec = parse(text)
    teachers, name = spec.options.get("teacher", ""), spec.options.get("as", text)
    if "as" in spec.options and not _NAME.fullmatch(name):
        raise ConfigError(f"as={name} of loss '{text}' is no name; use letters, digits, '-', '_' and '.'")
    own = replace(spec, options={key: value for key, value in spec.options.items() if key not in RESERVED})
    names = tuple(part.strip() for part in teachers.split("|")) if "teacher" in spec.options else ()
    if any(not part for part in names):
        raise ConfigError(f"teacher={teachers} of loss '{text}' names nobody; write teacher=NAME or teacher=A|B")
    if len(set(names)) != len(names):
        raise ConfigError(f"teacher={teachers} of loss '{text}' names a teacher twice; name each once")
    if _TAKEN.match(name):
        raise ConfigError(f"a loss cannot be called '{name}', which means something else; give it a name by as=NAME")
    return LossSpec(spec=own, name=name, teachers=names)
