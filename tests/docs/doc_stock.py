"""Lays out what a block of the documents names: made when it is first wanted, then linked or copied."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from doc_blocks import Block, blocks
from doc_hub import as_cached, students
from doc_names import CHECKPOINTS, ENCODERS, HUB, PACKAGES, RUNS, TREES, WEIGHTS
from doc_runs import MAKERS
from random_weights import checkpoint, encoder, transformers_model

from kdcli.errors import KdcliError
from kdcli.plugins import registry


class Stock:
    """What is made once and lies on many desks: files are linked, folders are copied."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def lay_out(self, block: Block, desk: Path, *, but: set[str]) -> None:
        """Put everything on the desk that the block names. but: what the block makes itself."""
        text = " ".join(" ".join(words) for words in block.calls()) if block.language != "python" else block.text
        for words, (kind, name) in PACKAGES.items():
            if re.search(words, text):
                _require(kind, name)
        for words, name, make in TREES:
            if re.search(words, text) and not (desk / name).exists():
                make(desk / name)
        for words, name, spec in CHECKPOINTS:
            if re.search(words, text):
                self.put(spec, desk / name, partial(checkpoint, spec))
        for words, name in ENCODERS:
            if re.search(words, text):
                self.put(name, desk / WEIGHTS / f"{name}.safetensors", partial(encoder, name))
        for words, name, kind in RUNS:
            if re.search(words, text) and name not in but:
                self.put(kind, desk / name, MAKERS[kind])
        for name, family in HUB:
            if name in text:
                folder = name.removeprefix("hf:") if name.startswith(("models/", "hf:")) else None
                place = desk / folder if folder is not None else as_cached(name, desk / "hub")
                self.put(family, place, partial(transformers_model, family))
        for name in re.findall(r"(?<![\w/])(\w+\.toml)\b", text):
            (desk / name).write_text(_document(block, name), encoding="utf-8")

    @contextmanager
    def hub(self, block: Block, desk: Path) -> Iterator[None]:
        """Have a hub while a block is run that names ``hf:ORG/NAME``."""
        if "hf:ORG/NAME" not in block.text:
            yield
            return
        with students(self.put("depth", desk / "elsewhere" / "small", MAKERS["depth"]), desk / "hub"):
            yield

    def put(self, name: str, place: Path, make: Callable[[Path], object]) -> Path:
        """Put what has a name somewhere, as it is."""
        made = self._folder / re.sub(r"[^\w.]", "-", name)
        if not made.exists():
            make(made)
        place.parent.mkdir(parents=True, exist_ok=True)
        if made.is_dir():
            shutil.copytree(made, place)
        else:
            os.link(made, place)
        return place


def _require(kind: str, name: str) -> None:
    try:
        registry.load(registry.find(kind, name))
    except KdcliError as error:
        pytest.skip(f"{kind} '{name}' is of a package that is not installed here: {error}")


def _document(block: Block, name: str) -> str:
    """Return the study or recipe that the page shows for a command that names such a file.

    It is of the kind that the command takes: a study begins with a table of that name, a recipe with one of a run.
    """
    table = "[study]" if re.search(rf"study {name}", block.text) else "[run]"
    shown = [one.text for one in blocks("toml") if one.page == block.page and one.text.startswith(table)]
    assert shown, f"{block.page.name} names {name} and shows no block that begins with {table}"
    return next((text for text in shown if f'name = "{Path(name).stem}"' in text), shown[0])


def absolute(words: list[str], desk: Path) -> list[str]:
    """Return a command as it is where the desk is the root of the file system and the folder of the user."""
    rooted = (re.sub(r"(?<![\w./])/(?=(?:data|scratch)/)", f"{desk}/", word) for word in words)
    return [re.sub(r"^~(?=/)", str(desk), word) for word in rooted]


def made_by(calls: list[list[str]]) -> Iterator[str]:
    """Give the names of what commands make."""
    for words in calls:
        for option in ("--out", "--record"):
            if option in words:
                yield words[words.index(option) + 1]
