"""Put result files into the documents.

Every table between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` is made here::

python docs/figures.py keep NAME SOURCE   copy the results of a run or a study (its folder) or of `kdcli eval --json`
                                          (a file) to docs/results/NAME.json
python benchmarks/teacher_step.py --out docs/results/NAME.json
python benchmarks/object_mixer.py --out docs/results/NAME.json
python benchmarks/dpm_loss.py --out docs/results/NAME.json
python benchmarks/step_overhead.py --out docs/results/NAME.json
python benchmarks/step_loops.py --out docs/results/NAME.json
python benchmarks/recorded_statistics.py --out docs/results/NAME.json
python benchmarks/teacher_cache.py --out docs/results/NAME.json
python benchmarks/evaluation.py --out docs/results/NAME.json
python benchmarks/loading.py --out docs/results/NAME.json
python benchmarks/reduced.py --out docs/results/NAME.json
python benchmarks/converting.py --out docs/results/NAME.json
python benchmarks/formats.py --out docs/results/NAME.json
python benchmarks/exported.py --out docs/results/NAME.json
python benchmarks/backbones.py --out docs/results/NAME.json
python benchmarks/recipe_steps.py --out docs/results/NAME.json
python benchmarks/memory_order.py --out docs/results/NAME.json
python docs/figures.py                    write all tables anew from docs/results
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import figures_of_backbones
import figures_of_curves
import figures_of_zoo
from figures_of_files import backbones, exported, formats, int8, recipe_steps, step_loops
from figures_of_studies import number
from figures_of_zoo import perturbed, under_attack

DOCS = Path(__file__).parent
RESULTS = DOCS / "results"
OTHERS = ("made-for", "encodings", "protocols")
"""Tables that tests hold against the code."""
DRAWN = {"zoo": figures_of_zoo, "front": figures_of_backbones, "curves": figures_of_curves}
"""Tables of several result files, with a drawing of the same name."""
METRICS = ("delta1", "abs_rel", "rmse", "silog")


def keep(name: str, source: Path) -> None:
    """Store what a run or an evaluation found."""
    if (source / "study.json").is_file():
        kept = {"study": json.loads((source / "report.json").read_text())}
        (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
        return
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
        if isinstance(document, dict) and "fidelity" in document:
            told = [{key: value for key, value in row.items() if key != "paired"} for row in document["fidelity"]]
            (RESULTS / f"{name}.json").write_text(json.dumps({"fidelity": told}, indent=1) + "\n")
            return
        told = document if isinstance(document, list) else [document]
        if "perturbed" in told[0]:
            (RESULTS / f"{name}.json").write_text(json.dumps({"arms": under_attack(told)}, indent=1) + "\n")
            return
        rows = {row["model"]: row for row in told}
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
    for name, row in document["rows"].items():
        if row.get("uncertainty"):
            tail += " " + sureness(name, row["uncertainty"])
    if "seconds" in document:
        export = (document.get("export") or {}).get("parity")
        tail += f" The whole run took {document['seconds']} s on {document['threads']} threads"
        tail += f" (torch {document['versions']['torch']})"
        tail += f"; exported file against the network: {export}." if export else "."
    return "\n".join(lines) + "\n" + tail


def sureness(name: str, found: dict[str, Any]) -> str:
    """Return what a student's uncertainty is worth, in a sentence."""

    def told(key: str) -> str:
        low, high = found["ci95"][key]
        return f"{found['metrics'][key]:.3f} [{low:.3f}, {high:.3f}]"

    return (
        f"Of the pixels, {told('coverage_90')} lie in the central 90 % interval of `{name}` and {told('coverage_50')} "
        "in the central 50 %; left out by falling standard deviation: "
        f"AUSE {told('ause_rmse_std')} and AURG {told('aurg_rmse_std')} for RMSE, "
        f"{told('ause_abs_rel_std')} and {told('aurg_abs_rel_std')} for AbsRel."
    )


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


def overhead(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table of a step beside its parts, one setting a row."""
    parts = list(rows[0]["parts_ms"])
    heads = ("teacher", "student", "size", "batch", *parts, "sum of these", "step", "step / sum")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        times = (*row["parts_ms"].values(), row["sum_ms"], row["step_ms"])
        lines.append(
            f"| {row['teacher']} | {row['student']} | {row['size']} | {row['batch_size']} "
            f"| {' | '.join(f'{value:.0f}' for value in times)} | {row['ratio']:.3f} |"
        )
    first = rows[0]
    where = f"{first['threads']} CPU thread(s)" if first["device"] == "cpu" else first["device"]
    low, high = first["ratio_quartiles"]
    tail = f"Milliseconds, medians over {first['rounds']} rounds on {where}, torch {first['torch']}."
    tail += f" Quartiles of the rounds' ratios: {low:.3f} to {high:.3f}; the fastest ones: {first['fastest']:.3f}."
    (step, parts), (wrote, written) = first["operators"], first["written"]
    tail += f" The step runs {step:,} operators, its parts {parts:,}; it writes"
    tail += f" {100 * (wrote / written - 1):.1f} % more numbers."
    return "\n".join(lines) + f"\n\n{tail}"


def memory_order(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table of how long students take in contiguous memory and compiled, beside channels-last."""
    more = {"compiled": ("compiled / eager", ".2f"), "compile_s": ("processor's s to compile", ".0f")}
    heads = ["student", "contiguous / channels-last", *(head for head, _ in more.values()), "depthwise convolutions"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in sorted(rows, key=lambda row: -row["contiguous"]):
        some = f"{row['depthwise']} of {row['convolutions']}" if row["depthwise"] else f"none of {row['convolutions']}"
        cells = [f"`{row['student']}`", f"{row['contiguous']:.2f}"]
        cells += [f"{row[key]:{form}}" if key in row else "" for key, (_, form) in more.items()]
        lines.append(f"| {' | '.join((*cells, some))} |")
    first = rows[0]
    where = f"{first['threads']} CPU thread(s)" if first["device"] == "cpu" else first["device"]
    tail = f"Forward and back of {first['batch_size']} images of {first['size']}, medians over {first['rounds']} "
    return "\n".join(lines) + f"\n\n{tail}rounds in turn, {where}, torch {first['torch']}."


def distances(document: dict[str, Any]) -> str:
    """Return a Markdown table of fits to several statistics, measured against all of them."""
    rows = document["statistics"]
    against = [key for key in rows[0] if key not in ("to", "images", "recorded")]
    heads = ("fitted to", "images recorded", *(f"distance to {name}" for name in against), "recorded from own")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        numbers = [f"{row[name]:.3f}" for name in against]
        off = "" if row["recorded"] is None else f"{row['recorded']:.3f}"
        lines.append(f"| {row['to']} | {row['images'] or ''} | {' | '.join(numbers)} | {off} |")
    return "\n".join(lines) + (
        f"\n\nMean over layers, relative to the teacher's spread, on mixed images set aside; {document['steps']} steps "
        f"of {document['batch_size']} images at {document['size']}, torch {document['torch']}."
    )


def dpm(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table of the divergence between depth probability maps, one way of computing it a row."""
    heads = ("way", "data set", "batch", "memory order", "s", "MiB", "lean's time / its", "lean's memory / its")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [
        f"| {row['way']} | {row['dataset']}, {row['bins']} bins, {row['size']} | {row['batch']} | {row['layout']} "
        f"| {row['seconds']:.2f} | {row['memory_mib']:.0f} | {row['time_ratio']:.3f} | {row['memory_ratio']:.3f} |"
        for row in rows
    ]
    first = rows[0]
    where = f"{first['threads']} CPU thread(s)" if first["device"] == "cpu" else first["device"]
    return "\n".join(lines) + f"\n\nMedians over {first['rounds']} rounds, {where}, torch {first['torch']}."


def loops(document: dict[str, Any]) -> str:
    """Return a Markdown table of the evaluation beside the usual loop, one size and part of the work a row."""
    rows = document["evaluation"]
    lines = ["| what | size | valid | the loop, ms | ours, ms | ours / theirs |", "|---" * 6 + "|"]
    lines += [
        f"| {row['what']} | {row['size']} | {row['valid']} | {row['theirs_ms']:.3g} | {row['ours_ms']:.3g} "
        f"| {row['ratio']:.2f} |"
        for row in rows
    ]
    first = rows[0]
    tail = f"Processor time an image on one thread, medians over {first['rounds']} rounds in turn, the ratio that of "
    tail += f"rounds; numpy {first['numpy']}, torch {first['torch']}."
    told = [f"{most:.0f} MiB for {int(images):,} images" for images, most in document["memory_mib"].items()]
    return "\n".join(lines) + f"\n\n{tail} Memory of the process at most: {', '.join(told)}."


def study(report: dict[str, Any]) -> str:
    """Return a Markdown table of a study, one arm and count a row, and the pairs that it asks for."""
    metrics, reference = report["metrics"], report["reference"]
    counted = any(row["count"] is not None for row in report["rows"])
    shown = len({row.get("teacher_images") for row in report["rows"]}) > 1
    counts = (*((report.get("counted", "images"),) if counted else ()), *(("shown to teachers",) if shown else ()))
    heads = ("arm", "", *counts, "seeds", *metrics, *(f"{metric} minus {reference}'s" for metric in metrics[:2]))
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for teacher in report["teachers"]:
        cells = [number(teacher["metrics"][metric]) for metric in metrics]
        named = f"`{teacher['spec']}`"
        lines.append(f"| {' | '.join(('teacher', named, *('' for _ in counts), '', *cells, '', ''))} |")
    for row in report["rows"]:
        cells = [number(row["metrics"][metric]) for metric in metrics]
        against = (row["against"] or {}).get("difference", {})
        cells += [number(against[metric], "+") if metric in against else "" for metric in metrics[:2]]
        facts = (f"`{row['arm']}`", row["label"], *_counts(row, counted, shown), str(len(row["seeds"])))
        lines.append(f"| {' | '.join((*facts, *cells))} |")
    tail = [f"Means over seeds, 95 % intervals over seeds and images, on `{report['eval_data']}`; differences paired."]
    for pair in report["contrasts"]:
        told = [f"{metric} {number(pair['difference'][metric], '+')}" for metric in metrics[:2]]
        tail.append(f"`{pair['first']}` minus `{pair['second']}`: {', '.join(told)}.")
    if report["missing"]:
        tail.append(f"Not run: {', '.join(map(str, report['missing']))}.")
    values = [f"{name} {value}" for name, value in report["variables"].items()]
    tail.append(f"Settings: {', '.join(values) or 'none'}; torch {report['versions']['torch']}.")
    return "\n".join(lines) + "\n\n" + "  \n".join(tail)


def _counts(row: dict[str, Any], counted: bool, shown: bool) -> list[str]:
    """Return the cells of a study's row that say how many images there are, and how many teachers were shown."""
    images = row.get("teacher_images")
    return [*([str(row["count"])] if counted else []), *(["" if images is None else f"{images:,}"] if shown else [])]


def fidelity(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table of how near students come to a teacher, one a row."""
    lines = [f"| student | {' | '.join(METRICS)} | images |", "|---" * (len(METRICS) + 2) + "|"]
    lines += [
        f"| `{row['model']}` | {' | '.join(cell(row, metric) for metric in METRICS)} | {row['n']} |" for row in rows
    ]
    return "\n".join(lines) + f"\n\nAgainst the depth of the teacher, not the measured one, on `{rows[0]['spec']}`."


def loading(found: dict[str, Any]) -> str:
    """Return a Markdown table of what opening many files costs, one way a row, and of decoding photographs."""
    ages = [age for age in ("before", "now") if age in found["opening"][0]["seconds"]]
    heads = ("opened", "images", *(f"s, {age}" for age in ages), *(f"bytes an image, {age}" for age in ages))
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in found["opening"]:
        cells = [f"{row['seconds'][age]:.2f}" for age in ages] + [f"{row['held'][age]:.0f}" for age in ages]
        lines.append(f"| {row['what']} | {row['images']:,} | {' | '.join(cells)} |")
    row = found["decoding"]
    return "\n".join(lines) + (
        f"\n\nProcessor time, the least of {found['rounds']} rounds, and what stays in memory. A JPEG of 480x640 is "
        f"decoded and brought to {row['size']} in {row['whole_ms']:.2f} ms, with `reduce` in "
        f"{row['reduced_ms']:.2f} ms ({row['ratio']:.2f} of it); its pixels then differ by "
        f"{row['mean_difference']:.2f} of 255 on average and by {row['largest_difference']:.0f} at most. One thread, "
        f"Python {found['python']}, torch {found['torch']}, Pillow {found['pillow']}."
    )


def reduced(found: dict[str, Any]) -> str:
    """Return a Markdown table of how near images decoded at reduced size are to whole ones, one size a row."""
    lines = [
        "| size | image values, mean | largest | pixels within 1 of 255 | the bundled teacher's depth, mean |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        cells = (row["size"], f"{row['mean']:.2%}", f"{row['largest']:.1%}", f"{row['pixels_within_a_level']:.0%}",
                 f"{row['depth']:.1%}")  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + (
        f"\n\nDifferences of {found['images']} scenes of `sim:{found['world']}` as JPEG of 480x640, quality "
        f"{found['quality']}; torch {found['torch']}, Pillow {found['pillow']}. `python benchmarks/reduced.py` "
        "measures this machine."
    )


def rendered(document: dict[str, Any]) -> str:
    """Return the table of a result file, by what it holds."""
    known = {
        "benchmark": costs, "ratios": ratios, "dpm": dpm, "study": study, "overhead": overhead, "fidelity": fidelity,
        "loading": loading, "reduced": reduced, "backbones": backbones, "int8": int8, "arms": perturbed,
        "memory_order": memory_order, "recipe_steps": recipe_steps,
    }
    for key, whole in {
        "evaluation": loops, "formats": formats, "exported": exported, "step_loops": step_loops,
    }.items():
        if key in document:
            return whole(document)
    for key, render in known.items():
        if key in document:
            return render(document[key])
    return distances(document) if "statistics" in document else table(document)


def cell(row: dict[str, Any], metric: str) -> str:
    """Return a metric with its interval."""
    value, (low, high) = row["metrics"][metric], row["ci95"][metric]
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def put(text: str, name: str, made: str) -> str:
    """Return a document with a table in the place of the one of that name."""
    block = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    return re.sub(block, lambda m: m[1] + made + "\n" + m[2], text, flags=re.DOTALL)


def fill() -> None:
    """Write all tables anew."""
    for path in (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))):
        text = path.read_text()
        for name in re.findall(r"<!-- ([a-z0-9-]+):begin -->", text):
            if name in OTHERS:
                continue
            if name in DRAWN:
                DRAWN[name].draw(RESULTS, DOCS / "images" / f"{name}.svg")
                text = put(text, name, DRAWN[name].table(RESULTS))
                continue
            result = RESULTS / f"{name}.json"
            if not result.is_file():
                sys.exit(f"{path.name} wants {result.relative_to(DOCS.parent)}, which is not there: keep it first")
            document = json.loads(result.read_text())
            text = put(text, name, rendered(document))
        path.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["keep"]:
        keep(sys.argv[2], Path(sys.argv[3]))
    else:
        fill()
