"""The page on training lists every key of a stage and of a run with its default."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from kdcli.config import RunConfig, StageConfig, dump, load
from kdcli.config.schema import RUN_KEYS
from kdcli.training.batches.geometry import MOVES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def listed(title: str) -> dict[str, str]:
    """Return key -> default of the tables in a section; a key must not be there twice."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, flags=re.MULTILINE)
    assert len({key for key, _, _ in rows}) == len(rows)
    assert all(len(meaning) > 2 for _, _, meaning in rows)
    return {key: default.strip("`") for key, default, _ in rows}


def defaults(section: str) -> dict[str, str]:
    """Return what a run or a stage holds where nobody says, as recipes write it."""
    config = RunConfig(recipe="r", stages=(StageConfig(name="s", steps=1),))
    text = dump(config).partition("[[stage]]")[0 if section == "run" else 2]
    lines = re.findall(r"^(\w+) = (.*?)  # default$", text, flags=re.MULTILINE)
    return {**dict(lines), "steps": "none", "name": "required"}


def test_every_key_of_a_stage_is_listed() -> None:
    known = defaults("stage")
    expected = {f.name: known.get(f.name, "none") for f in fields(StageConfig)}
    assert listed("A stage") == expected, "list each key of StageConfig in docs/training.md with its default"


def test_every_key_of_a_run_is_listed() -> None:
    known = defaults("run")
    expected = {key: known.get(key, "none") for key in RUN_KEYS}
    assert listed("A run") == {**expected, "eval_data": '"none"'}


def test_what_moves_is_told() -> None:
    table = PAGE.split("| of a batch | how it moves |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(MOVES)


def test_the_published_example_resolves() -> None:
    example = PAGE.split("\n## As published")[1].split("```toml\n")[1].split("```")[0]
    stage = '[[stage]]\nname = "s"\nlosses = { l1 = 1.0 }\n'
    config = load("example", example + stage)
    assert config.main.seen == (352, 704) and config.evaluated_at is None and config.main.epochs == 24
