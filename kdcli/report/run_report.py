"""The report of a run: what it came to, how it went, what it was made from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdcli.documents import read_text
from kdcli.report.html import Facts, Picture, Section, Table, Text, write_report
from kdcli.report.tables import amount, multiply_adds
from kdcli.report.training import hard_sections, training_sections

SHOWN = ("delta1", "delta2", "delta3", "abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog")


def write_run_report(
    folder: Path,
    manifest: Mapping[str, Any],
    results: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    *,
    about: str = "",
    labels: Mapping[str, str] | None = None,
    fidelity: Mapping[str, Any] | None = None,
    seconds: float,
) -> None:
    """Write ``report.html`` into a run's folder, with its pictures embedded. about: what its recipe is.

    labels: of models, by role. fidelity: results against each teacher, by its role.
    """
    sections, labels = [], labels or {}
    if about:
        sections.append(Section(title=f"Recipe {manifest.get('recipe', '')}", blocks=[Text(text=about)]))
    if results:
        sections.append(_results(results, labels, "Results"))
    for role, told in (fidelity or {}).items():
        section = _results(told, labels, f"Fidelity to the {labels.get(role, role)} (not accuracy)")
        about = "On images that the run held out of training: how near models come to what the teacher says of them."
        rule = manifest.get("holdout", {}).get("rule")
        sections.append(replace(section, blocks=[
            Text(text=f"{about} The teacher may be wrong."), *section.blocks, Facts(values={"held out": rule}),
        ]))  # fmt: skip
    pictures = [
        Picture(image=path.read_bytes(), caption=caption)
        for name, caption in (
            ("picture.png", _caption(bool(results), bool(fidelity))),
            ("images.png", "Training images before and after mixing and transformation."),
            (
                "transform-images.png",
                "What the transformation network does to images, and to what the teacher sees in them.",
            ),
            (
                "transform-layers.png",
                "Distance to the teacher's feature statistics before and after the fit, on images set aside.",
            ),
        )
        if (path := folder / name).is_file()
    ]
    if pictures:
        sections.append(Section(title="Pictures", blocks=pictures))
    sections += training_sections(metrics, manifest.get("scale"))
    sections += hard_sections(manifest.get("hard_images", {}))
    config = read_text(folder / "config.toml", "the run is damaged: start another", names=True)
    sections.append(_origin(manifest, seconds, config))
    write_report(folder / "report.html", f"kdcli run {folder.name}", sections)


def _caption(measured: bool, faithful: bool) -> str:
    told = "Held-out images; one range of colours, near is warm."
    if measured or not faithful:
        return told
    return f"{told} Differences are from the teacher, as shares of its depth, bright where they are large."


def _results(results: Mapping[str, Any], labels: Mapping[str, str], title: str) -> Section:
    rows = [
        [
            labels.get(role, role), *(_interval(result, metric) for metric in SHOWN),
            amount(result.get("parameters")), multiply_adds(result),
        ]
        for role, result in results.items()
    ]  # fmt: skip
    first = next(iter(results.values()))
    blocks: list[Any] = [
        Table(
            columns=["model", *SHOWN, "parameters", "multiply-adds"], rows=rows,
            caption="Mean over images with 95 % bootstrap interval; multiply-adds of one image.",
        )
    ]
    pairs = [
        [
            f"student minus {labels.get(pair['against'], pair['against'])}",
            *(_difference(pair, metric) for metric in SHOWN),
        ]
        for pair in results.get("student", {}).get("paired", {}).values()
    ]
    if pairs:
        blocks.append(Table(columns=["paired difference", *SHOWN], rows=pairs, caption="On the same images."))
    skipped = first.get("skipped", [])
    blocks.append(
        Facts(
            values={
                "data": first.get("spec"),
                "images": first.get("n"),
                "skipped": len(skipped),
                "protocol": f"{first['protocol']['name']} ({first['protocol']['hash']})",
                "alignment": first.get("align"),
            }
        )
    )
    if any(result.get("size") for result in results.values()):
        blocks.append(Text(text=f"Images were resized to {first['size'][0]}x{first['size'][1]} before the models."))
    return Section(title=title, blocks=blocks)


def _origin(manifest: Mapping[str, Any], seconds: float, config: str) -> Section:
    facts: dict[str, Any] = {
        key: value for key, value in manifest.items() if isinstance(value, str | int) and key != "state"
    }
    facts |= {f"version of {name}": version for name, version in manifest.get("versions", {}).items()}
    for role, key in (("teacher", "teachers"), ("student begun from", "begun_from")):
        for origin in manifest.get(key, []):
            facts[f"{role} {origin['spec']}"] = (
                f"licence {origin.get('licence')}, trained on {origin.get('training_data')}, "
                f"sha256 {origin.get('sha256')}"
            )
    for place, images in manifest.get("teacher_images", {}).items():
        facts[f"images shown to teachers, {place}"] = images
    facts["seconds"] = f"{seconds:.0f}"
    facts["command"] = " ".join(str(part) for part in manifest.get("argv", []))
    rows, section, stages = [], "", 0
    names = iter(f"stage {name}" for name in re.findall(r'^name = "([^"]*)"', config, re.MULTILINE))
    for line in config.splitlines():
        if line.startswith("["):
            stages += line == "[[stage]]"
            section = next(names, f"stage {stages}") if line == "[[stage]]" else line.strip("[]")
        elif " = " in line:
            key, _, value = line.partition(" = ")
            rows.append([f"{section}: {key}", value])
    return Section(
        title="Made from", blocks=[Facts(values=facts), Table(columns=["key", "value and origin"], rows=rows)]
    )


def _interval(result: Mapping[str, Any], metric: str) -> str:
    value, (low, high) = result["metrics"][metric], result["ci95"][metric]
    return "" if value is None else f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _difference(pair: Mapping[str, Any], metric: str) -> str:
    value, (low, high) = pair["difference"][metric], pair["ci95"][metric]
    return "" if value is None or low is None else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
