"""``hf:ORG/NAME[@REVISION]`` as a MODEL: a student of kdcli on the hub. A teacher ``hf:`` is a plugin of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from kdcli.errors import ConfigError

PREFIX = "hf:"
MAIN = "main"
_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?/[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?", re.ASCII)
_REVISION = re.compile(r"(?!/)(?!.*(\.\.|//|/$))[\w./-]{1,200}", re.ASCII)
_LONGEST = 96
"""Letters of ORG/NAME that the hub takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A repository of models, and a branch, tag or commit of it; None = its main branch."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")


def is_hub(text: str | PurePath) -> bool:
    """Whether a MODEL names a repository of the hub."""
    return _plain(text).startswith(PREFIX)


def parse(text: str | PurePath, revision: str | None = None) -> Address:
    """Return the repository that a text names; revision: of an option, where the text has none.

    Raises:
        ConfigError: it is none, or both name a revision.
    """
    plain = _plain(text)
    name, at, own = plain.removeprefix(PREFIX).partition("@")
    if not plain.startswith(PREFIX) or not _NAME.fullmatch(name) or len(name) > _LONGEST or re.search(r"--|\.\.", name):
        raise ConfigError(f"'{plain}' names no repository of the hub; write hf:ORG/NAME or hf:ORG/NAME@REVISION")
    if at and revision is not None:
        raise ConfigError(f"'{plain}' and --revision {revision} both name a revision; leave one out")
    wanted = own if at else revision
    if wanted is not None and not _REVISION.fullmatch(wanted):
        raise ConfigError(f"'{wanted}' is no branch, tag or commit; write hf:{name}@REVISION, as in hf:{name}@main")
    return Address(repository=name, revision=wanted)


def _plain(text: str | PurePath) -> str:
    return text.as_posix() if isinstance(text, PurePath) else text
