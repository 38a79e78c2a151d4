"""Tables of exported files: formats, eight bits, what they take, light backbones. ``figures.py`` puts them in place."""

from __future__ import annotations

import re
import statistics
from typing import Any


def formats(found: dict[str, Any]) -> str:
    """Return a Markdown table of networks and formats: how far a file is from its network, and its size."""
    rows = found["formats"]
    names, parts = list(dict.fromkeys(row["format"] for row in rows)), []
    for precision in dict.fromkeys(row["precision"] for row in rows):
        key, told = ("relative", "largest difference over the largest depth") if precision == "fp32" else (
            "abs_rel", "mean AbsRel")
        lines, why = [f"| {precision} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"], []
        for network in dict.fromkeys(row["network"] for row in rows if row["precision"] == precision):
            cells = []
            for name in names:
                row = next((row for row in rows if (row["network"], row["format"], row["precision"]) ==
                            (network, name, precision)), None)
                if row is not None and "why" in row:
                    why.append(f"`{network}` as {name}: {row['why']}")
                cells.append("" if row is None else "no" if "why" in row else
                             f"{row[key]:.0e}, {row['bytes'] / 1e6:.1f} MB")
            lines.append(f"| `{network}` | {' | '.join(cells)} |")
        size = next(row["size"] for row in rows if row["precision"] == precision)
        tail = f"In a cell: {told} on images of {size}, and all bytes that belong to the file. Random weights."
        parts.append("\n".join(lines) + f"\n\n{tail}" + "".join(f"  \n{one}." for one in why))
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return "\n\n".join(parts) + f" With {versions}."


def int8(found: dict[str, Any]) -> str:
    """Return how far eight-bit files are from their networks, and how much smaller than float ones."""
    lines = ["| network | file | mean AbsRel | largest | size | convolutions in float |", "|---|---|---|---|---|---|"]
    for name, files in found.items():
        for ending, row in files.items():
            more = next((re.match(r"\d+ of its \d+", note) for note in row["notes"] if "stay in float" in note), None)
            floating = "the last" if more is None else more[0].replace(" its", "")
            errors = " | ".join(f"{row[key]:.2g}" for key in ("mean_abs_rel", "largest_abs_rel"))
            lines.append(f"| {name} | `{ending}` | {errors} | {row['size']:.3f} | {floating} |")
    return "\n".join(lines)


def exported(found: dict[str, Any]) -> str:
    """Return a Markdown table of what exported forms of networks take beside a plain ONNX file."""
    lines = ["| network | form | MB | ms | over plain | quartiles |", "|---" * 6 + "|"]
    for row in found["exported"]:
        low, high = row["ratio_quartiles"]
        lines.append(f"| `{row['network']}` | {row['form']} | {row['bytes'] / 1e6:.1f} | {row['ms']:.1f} "
                     f"| {row['ratio']:.2f} | {low:.2f} to {high:.2f} |")
    first = found["exported"][0]
    return "\n".join(lines) + (
        f"\n\nProcessor time of one image of {first['size']} on one thread of an {found['processor']} (for int8: "
        f"{', '.join(found['int8'] or ()) or 'no instructions'}), medians of {first['rounds']} rounds, all in turn "
        f"within a round; torch {found['torch']}."
    )


def backbones(found: dict[str, Any]) -> str:
    """Return a Markdown table of backbones by their time beside the first one's, and of those that could not be had."""
    rows = [row for row in found["rows"] if row["failed"] is None]
    first = rows[0]["backbone"]
    heads = ("backbone", f"time / `{first}`'s", "quartiles", "parameters", "multiply-adds", "file, MB")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in sorted(rows, key=lambda row: row["processor_ratio"]["median"]):
        low, high = row["processor_ratio"]["quartiles"]
        work = row["multiply_adds"]
        cells = (
            f"`{row['backbone']}`", f"{row['processor_ratio']['median']:.2f}", f"{low:.2f} to {high:.2f}",
            f"{row['parameters'] / 1e6:.2f} M", "" if work is None else f"{work / 1e6:.0f} M",
            f"{row['bytes'] / 1e6:.1f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    worst = max(row["difference"] for row in rows)
    tail = f"Images of {found['size']}, {found['rounds']} rounds, {found['threads']} thread(s), {found['runtime']} in "
    tail += f"float32, timm {found['timm']}, torch {found['torch']}, {found['machine']}; parameters and multiply-adds "
    tail += f"of the exported form. Largest relative difference of a file to its network: {worst:.1e}."
    lost = [row for row in found["rows"] if row["failed"] is not None]
    if lost:
        title = "| backbone | not | why |\n|---|---|---|\n"
        told = "\n".join(f"| `{row['backbone']}` | {row['failed']} | {row['reason']} |" for row in lost)
        return "\n".join(lines) + f"\n\n{tail}\n\nNot among them:\n\n{title}{told}"
    return "\n".join(lines) + f"\n\n{tail}"


def step_loops(found: dict[str, Any]) -> str:
    """Return a Markdown table of a step beside other loops, a pair and way of teaching a row."""
    rows = found["step_loops"]
    names = list(dict.fromkeys(name for row in rows for name in row["ratios"]))
    heads = ["teacher -> student", "size", "batch", "teacher", "step, ms", "of asked", *(f"step / {n}" for n in names)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        height, width = row["size"]
        cells = [row["pair"], f"{height}x{width}", str(row["batch_size"]), row["teacher"],
                 f"{row['loops']['step']['processor_ms']['median']:.0f}", f"{row['of_live']:.3f}"]  # fmt: skip
        for name in names:
            ratio = row["ratios"].get(name)
            cells.append("" if ratio is None else (
                f"{ratio['median']:.3f} [{ratio['quartiles'][0]:.3f}, {ratio['quartiles'][1]:.3f}]"))
        lines.append(f"| {' | '.join(cells)} |")
    first = rows[0]
    return "\n".join(lines) + (
        f"\n\nProcessor time on one thread ({first['machine']}), medians [quartiles] of {first['rounds']} rounds in "
        f"turn, torch {found['torch']}, torchdistill {found['torchdistill']}."
    )


def recipe_steps(found: dict[str, Any]) -> str:
    """Return a Markdown table of what a step of two recipes costs, rendering included."""
    (first, low), (second, high) = found["ms"].items()
    least, middle, most = statistics.quantiles(found["tenths"], n=4)
    return (
        "| recipe | a step, ms |\n|---|---|\n"
        f"| `{first}` | {low:.0f} |\n| `{second}` | {high:.0f} |\n\n"
        f"Mean processor time of {found['steps']} steps in turn on {found['threads']} thread(s), rendering included: "
        f"{found['ratio']:.2f} times as long. Tenths of the steps: {least:.2f}, {middle:.2f}, {most:.2f} (quartiles; "
        f"scenes are rendered in the first ones); torch {found['torch']}."
    )
