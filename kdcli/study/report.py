"""A study's table as text: rows for the terminal, Markdown, JSON, and one HTML file with the plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdcli.documents import Each, read_json
from kdcli.evals.metrics import HIGHER_IS_BETTER, NAMES
from kdcli.files import write_json, write_text
from kdcli.report.drawings import Interval as Bounds
from kdcli.report.html import Block, Details, Facts, Lead, Picture, Section, Text, write_report
from kdcli.report.html import Table as HtmlTable
from kdcli.report.standing import standing, standing_plot
from kdcli.report.tables import arrowed
from kdcli.study.grid import Study, group_title
from kdcli.study.plot import WITHOUT, available, plot
from kdcli.study.rows import Comparison, Difference, Interval, Row, Table

STUDY = {"name": str, "versions?": Each((str, None)), "variables?": Each(Any)}
"""Of ``study.json``, what is read back."""
_AGAIN = "delete it and run the study again, which writes it anew"

Rows = tuple[list[str], list[list[str]]]
"""Column names and rows."""


def write_reports(study: Study, table: Table, out: Path, failed: Sequence[str] = ()) -> list[str]:
    """Write ``report.json``, ``report.md``, ``report.html`` and, where counts are given, a plot for each metric.

    failed: runs that could not go on, with the reason. Returns the names of the files.
    """
    plots = []
    for metric in NAMES:  # a plot of an earlier state would contradict the tables
        (out / f"plot-{metric}.png").unlink(missing_ok=True)
    if study.counts and table.rows and available():
        for metric in table.metrics:
            plot(table, metric, out / f"plot-{metric}.png")
            plots.append(f"plot-{metric}.png")
    facts = read_json(out / "study.json", STUDY, _AGAIN) if (out / "study.json").exists() else {}
    write_json(out / "report.json", {**table.document(), "failed": list(failed), "variables": dict(study.variables),
                                     "versions": facts.get("versions", {})})  # fmt: skip
    write_text(out / "report.md", markdown(study, table, plots, failed))
    _html(study, table, out, plots, facts, failed)
    return ["report.html", "report.md", "report.json", *plots]


def main_rows(table: Table) -> Rows:
    """Return the table: teachers, then one row for each arm and count, with its paired differences."""
    counts = any(row.count is not None for row in table.rows)
    differences = [f"{metric} minus {table.reference}, paired" for metric in table.metrics]
    shown = len({row.teacher_images for row in table.rows}) > 1
    extra = [*([table.counted] if counts else []), *(["images shown to teachers"] if shown else [])]
    columns = ["arm", *extra, "seeds", *map(directed, table.metrics)]
    columns += [text for column in differences for text in (column, "share > 0")]
    rows = []
    for teacher in table.teachers:
        numbers = [interval(teacher.metrics[metric]) for metric in table.metrics]
        rows.append([f"teacher {teacher.spec}", *[""] * len(extra), "", *numbers, *[""] * 2 * len(differences)])
    for row in table.rows:
        numbers = [interval(row.metrics[metric]) for metric in table.metrics]
        head = [row.arm, *(["" if row.count is None else f"{row.count}"] if counts else [])]
        head += ["" if row.teacher_images is None else f"{row.teacher_images:,}"] if shown else []
        rows.append([*head, f"{len(row.seeds)}", *numbers, *_against(row, table)])
    return columns, rows


def contrast_rows(table: Table) -> Rows:
    """Return the study's contrasts, one a row."""
    columns = ["first", "second", "seeds"]
    columns += [text for metric in table.metrics for text in (f"{metric}, first minus second", "share > 0")]
    rows = [[c.first, c.second, f"{len(c.seeds)}", *_differences(c, table)] for c in table.contrasts]
    return columns, rows


def seed_rows(table: Table) -> Rows:
    """Return each seed's numbers, one run a row."""
    columns = ["arm", "seed", *map(directed, table.metrics), "run"]
    rows = [
        [group_title(row.arm, row.count), f"{seed}", *(_plain(row.per_seed[m][i]) for m in table.metrics), row.runs[i]]
        for row in table.rows
        for i, seed in enumerate(row.seeds)
    ]
    return columns, rows


def notes(table: Table, failed: Sequence[str] = ()) -> list[str]:
    """Return how to read the table, and what is not in it."""
    told = [
        "Means over seeds with a 95 % interval over seeds and images (those of teachers: over images). Differences are "
        "paired: the same seeds and images are drawn for both."
    ]
    if any(len(row.seeds) == 1 for row in table.rows):
        told.append("Where there is one seed the interval is over images alone.")
    elif any(len(row.seeds) < 5 for row in table.rows):
        told.append("Few seeds tell little about their spread: read intervals that end near zero with care.")
    unlike = [row.arm for row in table.rows if row.against is not None and not row.against.same_protocol]
    if unlike:
        told.append(f"Read out or aligned otherwise than the reference: {', '.join(dict.fromkeys(unlike))}.")
    if table.missing:
        told.append(f"Not run or not finished: {', '.join(table.missing)}.")
    return [*told, *(f"Failed: {line}." for line in failed)]


def markdown(study: Study, table: Table, plots: Sequence[str] = (), failed: Sequence[str] = ()) -> str:
    """Return the report as Markdown."""
    lines = [f"# {table.study}", "", *([table.about, ""] if table.about else []), _measured(table), ""]
    lines += [*_markdown(main_rows(table)), ""]
    if table.contrasts:
        lines += [*_markdown(contrast_rows(table)), ""]
    for note in notes(table, failed):
        lines += [note, ""]
    labels = [f"- `{arm.name}`: {arm.label}" for arm in study.arms if arm.label != arm.name]
    lines += [*labels, ""] if labels else []
    for name in plots:
        lines += [f"![{name}]({name})", ""]
    return "\n".join(lines).rstrip() + "\n"


def interval(value: Interval, *, sign: bool = False) -> str:
    """Return a number with its interval in brackets."""
    form = "+.3f" if sign else ".3f"
    if value.value is None:
        return "-"
    if value.low is None or value.high is None:
        return f"{value.value:{form}}"
    return f"{value.value:{form}} [{value.low:{form}}, {value.high:{form}}]"


def _html(
    study: Study, table: Table, out: Path, plots: Sequence[str], facts: dict[str, Any], failed: Sequence[str]
) -> None:
    blocks: list[Block] = [Lead(sentences=verdict(table)), *_first(table)]
    blocks += [Text(text=_measured(table)), *(Text(text=note) for note in notes(table, failed))]
    blocks += [Details(summary="All differences", blocks=[_table(main_rows(table))])] if table.rows else []
    blocks += [_table(contrast_rows(table))] if table.contrasts else []
    blocks += [Text(text=table.about)] if table.about else []
    labels = {arm.name: arm.label for arm in study.arms if arm.label != arm.name}
    blocks += [Facts(values=labels)] if labels else []
    sections = [Section(title="Results", blocks=blocks)]
    if study.counts:
        drawn: list[Block] = [Picture(image=(out / name).read_bytes(), caption=name) for name in plots]
        missing = WITHOUT if not available() else "There is nothing to draw yet."
        sections.append(Section(title=f"Against the number of {study.counted}", blocks=drawn or [Text(text=missing)]))
    sections.append(Section(title="Runs", blocks=[_table(seed_rows(table))]))
    made = {f"variable {name}": value for name, value in study.variables.items()}
    made |= {f"version of {name}": version for name, version in facts.get("versions", {}).items()}
    made |= {key: facts[key] for key in ("machine", "system", "threads") if key in facts}
    text: list[Block] = [Text(text=line) for line in study.text.splitlines() if line.strip()]
    folded = Details(summary="The study's file", blocks=text)
    sections.append(Section(title="Made from", blocks=[Facts(values=made), folded]))
    write_report(out / "report.html", f"kdcli study {table.study}", sections)


def verdict(table: Table) -> list[str]:
    """Return which arms can be told apart from the reference by the study's first metric, in sentences."""
    if not table.rows:
        return ["No run is finished yet."]
    return standing(table.metrics[0], table.reference, _intervals(table), _unlike(table))


def _intervals(table: Table) -> list[Bounds]:
    metric = table.metrics[0]
    found = [(row, None if row.against is None else row.against.difference.get(metric)) for row in table.rows]
    return [
        Bounds(name=group_title(row.arm, row.count), value=one.value, low=one.low, high=one.high)
        for row, one in found
        if one is not None and one.value is not None and one.low is not None and one.high is not None
    ]


def _unlike(table: Table) -> list[str]:
    told = {one.name for one in _intervals(table)}
    names = [group_title(row.arm, row.count) for row in table.rows if row.arm != table.reference]
    return [name for name in names if name not in told]


def _first(table: Table) -> list[Block]:
    """Return one row an arm with few columns, and the differences by the first metric as a drawing."""
    metric = table.metrics[0]
    shown = {one.name: one for one in _intervals(table)}
    rows = [
        [f"teacher {one.spec}", *(interval(one.metrics[name]) for name in table.metrics), "", ""]
        for one in table.teachers
    ]
    for row in table.rows:
        title = group_title(row.arm, row.count)
        found = shown.get(title)
        against = "-" if found is None else f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        against = "reference" if row.arm == table.reference else against
        rows.append([title, *(interval(row.metrics[name]) for name in table.metrics), against, f"{len(row.seeds)}"])
    columns = ["arm", *map(arrowed, table.metrics), f"{metric} minus {table.reference}", "seeds"]
    caption = "Means over seeds [95 % interval over seeds and images]; \u2193 less is better, \u2191 more is."
    plot = standing_plot(metric, table.reference, list(shown.values()))
    return [HtmlTable(columns=columns, rows=rows, caption=caption), *plot] if rows else []


def _measured(table: Table) -> str:
    if table.protocol is None:
        return f"Nothing is finished yet; to be measured on {table.eval_data}."
    images = sorted({row.images for row in table.rows})
    return (
        f"Measured on {table.eval_data} ({' or '.join(map(str, images))} images), protocol {table.protocol['name']} "
        f"({table.protocol['hash']})."
    )


def _against(row: Row, table: Table) -> list[str]:
    if row.against is not None:
        return _differences(row.against, table)
    told = "reference" if row.arm == table.reference else "no reference"
    return [told, ""] * len(table.metrics)


def _differences(comparison: Comparison, table: Table) -> list[str]:
    cells = []
    for metric in table.metrics:
        found: Difference | None = comparison.difference.get(metric)
        if found is None:
            cells += ["nothing in common", ""]
        else:
            cells += [interval(found, sign=True), "-" if found.above_zero is None else f"{found.above_zero:.3f}"]
    return cells


def directed(metric: str) -> str:
    """Return a metric's name with the direction that is better."""
    return f"{metric} ({'more' if metric in HIGHER_IS_BETTER else 'less'} is better)"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _markdown(rows: Rows) -> list[str]:
    columns, body = rows
    return [_line(columns), "|" + "---|" * len(columns), *map(_line, body)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _table(rows: Rows) -> HtmlTable:
    return HtmlTable(columns=rows[0], rows=rows[1])
