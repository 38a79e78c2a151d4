"""What a run was made from: versions, teachers and their licences, every value of its recipe and where it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kdcli.report.html import Block, Details, Facts, Section, Table, Text


def made_from(manifest: Mapping[str, Any], seconds: float, config: str, about: str) -> Section:
    """Return the last section of a run's report. config: its resolved recipe as TOML. about: what that is."""
    facts: dict[str, Any] = {"recipe": f"{manifest.get('recipe', '')}: {about}"} if about else {}
    facts |= {
        key: value for key, value in manifest.items()
        if isinstance(value, str | int) and key != "state" and key not in facts
    }  # fmt: skip
    facts |= {f"version of {name}": version for name, version in manifest.get("versions", {}).items()}
    for place, images in manifest.get("teacher_images", {}).items():
        facts[f"images shown to teachers, {place}"] = images
    facts["seconds"] = f"{seconds:.0f}"
    facts["command"] = " ".join(str(part) for part in manifest.get("argv", []))
    if export := manifest.get("export"):
        facts["exported"] = f"{export['file']}, {export['parity']}, sha256 {export['sha256']}"
    blocks: list[Block] = [Facts(values=facts)]
    blocks.append(Details(summary="Every value of the recipe and its origin", blocks=[_recipe(config)]))
    return Section(title="Made from", blocks=[*blocks, *_licences(manifest)])


def _recipe(config: str) -> Table:
    rows, section, stages = [], "", 0
    names = iter(f"stage {name}" for name in re.findall(r'^name = "([^"]*)"', config, re.MULTILINE))
    for line in config.splitlines():
        if line.startswith("["):
            stages += line == "[[stage]]"
            section = next(names, f"stage {stages}") if line == "[[stage]]" else line.strip("[]")
        elif " = " in line:
            key, _, value = line.partition(" = ")
            rows.append([f"{section}: {key}", value])
    return Table(columns=["key", "value and origin"], rows=rows)


def _licences(manifest: Mapping[str, Any]) -> list[Block]:
    facts = {}
    for role, key in (("teacher", "teachers"), ("student begun from", "begun_from")):
        for origin in manifest.get(key, []):
            facts[f"{role} {origin['spec']}"] = (
                f"licence {origin.get('licence')}, trained on {origin.get('training_data')}, "
                f"sha256 {origin.get('sha256')}"
            )
    if not facts:
        return []
    return [Text(text="The student stands under the licences of what it learned from:"), Facts(values=facts)]
