"""Put result files into the documents.

Every table between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` is made here::

python docs/figures.py keep NAME SOURCE   copy the results of a run (its folder) or of `kdcli eval --json` (a file)
                                          to docs/results/NAME.json
python benchmarks/teacher_step.py --out docs/results/NAME.json
python benchmarks/object_mixer.py --out docs/results/NAME.json
python benchmarks/teacher_cache.py --out docs/results/NAME.json
python docs/figures.py                    write all tables anew from docs/results
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
RESULTS = DOCS / "results"
METRICS = ("delta1", "abs_rel", "rmse", "silog")


def keep(name: str, source: Path) -> None:
    """Store what a run or an evaluation found."""
    if source.is_dir():
        manifest = json.loads((source / "manifest.json").read_text())
        rows = manifest["eval"]
        facts = {
            "seconds": round(manifest["seconds"]),
            "versions": manifest["versions"],
            "threads": manifest["threads"],
            "recipe": manifest["recipe"],
            "export": manifest.get("export"),
        }
    else:
        document = json.loads(source.read_text())
        rows = {row["model"]: row for row in (document if isinstance(document, list) else [document])}
        facts = {}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


def table(document: dict[str, Any]) -> str:
    """Return a Markdown table of the results, one model a row, and the paired gain over the twin."""
    lines = [f"| model | {' | '.join(METRICS)} | images |", "|---" * (len(METRICS) + 2) + "|"]
    for name, row in document["rows"].items():
        lines.append(f"| {name} | {' | '.join(cell(row, metric) for metric in METRICS)} | {row['n']} |")
    first = next(iter(document["rows"].values()))
    tail = f"\nMeans over images with 95 % bootstrap intervals; protocol `{first['protocol']['name']}` "
    tail += f"({first['protocol']['hash']}) on `{first['spec']}`."
    for pair in document["rows"].get("student", {}).get("paired", {}).values():
        if pair["against"] == "twin":
            low, high = pair["ci95"]["delta1"]
            gain = pair["difference"]["delta1"]
            tail += f" Student minus twin, paired over images: delta1 {gain:+.3f} [{low:+.3f}, {high:+.3f}]."
    if "seconds" in document:
        export = (document.get("export") or {}).get("parity")
        tail += f" The whole run took {document['seconds']} s on {document['threads']} threads"
        tail += f" (torch {document['versions']['torch']})"
        tail += f"; exported file against the network: {export}." if export else "."
    return "\n".join(lines) + "\n" + tail


def costs(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table of what steps cost, one size a row."""
    lines = ["| teacher | student | size | batch | images/s | peak memory |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row['teacher']} | {row['student']} | {row['size']} | {row['batch_size']} "
        f"| {row['images_per_second']:.2g} | {row['peak_memory_mib'] / 1024:.1f} GiB |"
        for row in rows
    ]
    first = rows[0]
    where = f"{first['threads']} CPU threads" if first["device"] == "cpu" else first["device"]
    return "\n".join(lines) + f"\n\nOn {where}, torch {first['torch']}."


def ratios(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table of what the same work costs here and done otherwise, one size and way a row."""
    heads = ("against", "size", "batch", "theirs, ms/image", "ours, ms/image", "theirs / ours")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [
        f"| {row['what']} | {row['size']} | {row['batch_size']} | {row['other_ms']:.3g} | {row['ours_ms']:.3g} "
        f"| {row['ratio']:.2g} |"
        for row in rows
    ]
    first = rows[0]
    where = "" if first["device"] == "cpu" else f"ours on {first['device']}, theirs on "
    tail = f"Medians over {first['rounds']} rounds, {where}{first['threads']} CPU thread(s), torch {first['torch']}."
    return "\n".join(lines) + "\n\n" + tail


def rendered(document: dict[str, Any]) -> str:
    """Return the table of a result file, by what it holds."""
    for key, render in (("benchmark", costs), ("ratios", ratios)):
        if key in document:
            return render(document[key])
    return table(document)


def cell(row: dict[str, Any], metric: str) -> str:
    """Return a metric with its interval."""
    value, (low, high) = row["metrics"][metric], row["ci95"][metric]
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def fill() -> None:
    """Write all tables anew."""
    for path in (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))):
        text = path.read_text()
        for name in re.findall(r"<!-- ([a-z0-9-]+):begin -->", text):
            result = RESULTS / f"{name}.json"
            if not result.is_file():
                sys.exit(f"{path.name} wants {result.relative_to(DOCS.parent)}, which is not there: keep it first")
            document = json.loads(result.read_text())
            made = rendered(document)
            text = re.sub(
                rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)",
                lambda m, made=made: m[1] + made + "\n" + m[2],
                text,
                flags=re.DOTALL,
            )
        path.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["keep"]:
        keep(sys.argv[2], Path(sys.argv[3]))
    else:
        fill()
