"""What the documents ask their reader to type: blocks for the console, and commands within a sentence."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("plugins/*/README.md")),
         *sorted(ROOT.glob("plugins/*/docs/*.md")), *sorted(ROOT.glob("examples/**/README.md"))]
_FENCE = re.compile(r"```(\w*)\n(.*?)```", flags=re.DOTALL)
_GROUPS = frozenset({"data", "plugins", "recipes", "runs", "weights"})
_PLACE_HOLDER = re.compile(r"(?<![\w.])(SPEC|FILE|DIR|NAME|MODEL|PX|HxW)(?![\w])|\.\.\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Lines that follow one another on a page."""

    page: Path
    number: int
    language: str
    text: str

    @property
    def label(self) -> str:
        page = self.page.relative_to(ROOT).as_posix().removesuffix(".md").replace("/", ".")
        return f"{page}-{self.number}"

    def calls(self) -> list[list[str]]:
        """Return the words of every command, of kdcli's and of others, in order; comments and prompts are left out."""
        return [
            words
            for line in self.text.replace("\\\n", " ").splitlines()
            for part in re.split(r"&&|\|(?!\w)|;", line.removeprefix("$ "))
            if (words := shlex.split(part, comments=True))
        ]


def blocks(*languages: str) -> list[Block]:
    """Return the fenced blocks of all pages in these languages."""
    return [
        Block(page=page, number=i, language=language, text=text)
        for page in PAGES
        for i, (language, text) in enumerate(_FENCE.findall(page.read_text(encoding="utf-8")), start=1)
        if language in languages
    ]


def within_sentences() -> list[Block]:
    """Return what a sentence says of kdcli, each command as a block of its own."""
    found = []
    for page in PAGES:
        prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
        said = dict.fromkeys(" ".join(text.split()) for text in re.findall(r"`(kdcli [^`]+)`", prose))
        found += [
            Block(page=page, number=i, language="sentence", text=text) for i, text in enumerate(said, start=101)
        ]
    return found


def is_whole(block: Block) -> bool:
    """Whether a command within a sentence can be typed as it stands; others name a command, or hold a place holder."""
    words = block.text.split()[1:]
    return len(words) > 1 + (words[0] in _GROUPS) and _PLACE_HOLDER.search(block.text) is None
