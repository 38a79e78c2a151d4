"""The folder that goes to the hub: the student without folders of its machine, its files, and the card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kdcli.errors import ConfigError
from kdcli.files import sha256_of, write_json, write_text
from kdcli.hub.address import Address
from kdcli.hub.declared import CONFIG, PICTURE, RECIPE, STUDENT, File, document, takes
from kdcli.sharing.card import card
from kdcli.sharing.facts import Facts
from kdcli.sharing.private import cleaned, cleaned_recipe
from kdcli.students.files import CARD, read_card
from kdcli.weights import load_tensors, read_metadata, save

README = "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What is pushed: files by their names in the repository, and the text of the card."""

    files: Mapping[str, Path]
    card: str

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(path.stat().st_size for path in self.files.values())


def bundle(facts: Facts, folder: Path, address: Address, *, text: str | None = None) -> Bundle:
    """Lay out in an empty folder what is pushed. text: a card of the user's own, with its head.

    Raises:
        ConfigError: a file that no repository of a student may have.
    """
    files = {STUDENT: _student(facts, folder / STUDENT), RECIPE: folder / RECIPE}
    write_text(files[RECIPE], cleaned_recipe(facts.run.text()), names=True)
    for one in facts.exported:
        for path in one.files:
            files[path.relative_to(one.path.parent).as_posix()] = path
    for name in files:
        if not takes(name, files):
            raise ConfigError(f"'{name}' has no name that a student's repository takes; use letters, digits, - and _")
    declared = {name: File(size=path.stat().st_size, sha256=sha256_of(path)) for name, path in files.items()}
    told = {key: facts.card.get(key) for key in ("student", "depth_kind", "depth_range", "licence", "made_for")}
    write_json(folder / CONFIG, document(declared, {**told, "parameters": facts.parameters}))
    files[CONFIG] = folder / CONFIG
    if facts.picture is not None:
        shutil.copyfile(facts.picture, folder / PICTURE)
        files[PICTURE] = folder / PICTURE
    shown = None if facts.picture is None else PICTURE
    written = text or card(facts, name=address.repository.partition("/")[2], model=str(address), picture=shown)
    write_text(folder / README, written)
    files[README] = folder / README
    return Bundle(files=dict(sorted(files.items())), card=written)


def own_card(path: Path) -> str:
    """Return the text of a card that somebody wrote or changed.

    Raises:
        ConfigError: it cannot be read, or has no head that the hub would read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = type(error).__name__
        raise ConfigError(f"card '{path}' cannot be read ({why}); write one with: kdcli card RUN") from None
    from huggingface_hub import ModelCard

    try:
        told = vars(ModelCard(text).data) if text.startswith("---") else {}
    except Exception as error:  # YAML's and the client's own, of many classes
        why = " ".join(str(error).split())[:120]
        raise ConfigError(f"the head of card '{path}' cannot be read ({why}); mend it, or leave out --card") from None
    if told.get("library_name") != "kdcli":
        raise ConfigError(f"card '{path}' has no head with library_name: kdcli; begin with one of: kdcli card RUN")
    return text


def _student(facts: Facts, target: Path) -> Path:
    """Return the student's file if it names no folder, or else write one that names none."""
    own = read_card(facts.student)
    if cleaned(own) == own:
        return facts.student
    metadata = read_metadata(facts.student)
    save(target, load_tensors(facts.student), {**metadata, CARD: json.dumps(cleaned(own))})
    return target
