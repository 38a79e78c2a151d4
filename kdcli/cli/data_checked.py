"""What ``kdcli data check`` prints: one document for programs, a table with small histograms for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdcli.cli.ui import Session, say
from kdcli.text import line

if TYPE_CHECKING:
    from kdcli.protocols import Source
    from kdcli.sources.checks import Survey
    from kdcli.sources.checks.twins import Shared
    from kdcli.types import Finding

_WIDE = 32
_ROWS = 8


def document(spec: str, source: Source, report: Survey, shared: Shared | None) -> dict[str, Any]:
    """Return all that was found, for ``--json``."""
    found = {
        "spec": spec,
        "n": report.n,
        "read": report.read,
        "depth_kind": None if source.depth_kind is None else str(source.depth_kind),
        "sizes": report.sizes,
        "depth_sizes": report.depth_sizes,
        "depth": report.depth,
        "depth_histogram": [{"from": low, "to": high, "share": share} for low, high, share in report.histogram],
        "objects": report.objects,
        "registration": None if report.registration is None else report.registration.document(),
        "nyu": report.nyu,
        "findings": [
            {"level": finding.level, "message": finding.message, "path": finding.path}
            for finding in findings(report, shared)
        ],
    }
    return found if shared is None else {**found, "against": shared.document()}


def findings(report: Survey, shared: Shared | None) -> list[Finding]:
    """Return what was found of a source, and of what it shares with another one."""
    return report.findings + ([] if shared is None else shared.findings())


def show(session: Session, spec: str, source: Source, report: Survey, shared: Shared | None) -> None:
    """Print it for people."""
    rows: list[tuple[str, str]] = [
        ("items", f"{report.n}, of which {report.read} were read"),
        *_counted("sizes", report.sizes),
        ("depth", "none" if source.depth_kind is None else str(source.depth_kind)),
    ]
    if report.depth is not None:
        low, middle, high = (report.depth[key] for key in ("min", "median", "max"))
        if report.depth_sizes != report.sizes:
            rows += _counted("depth sizes", report.depth_sizes)
        rows.append(("metres", f"{low:.3g} to {high:.3g}, median {middle:.3g}"))
        rows += [("", f"{name:<11}  {bar}") for name, bar in _bars(report.histogram)]
        rows.append(("holes", f"{report.depth['holes']:.1%} of the pixels"))
    if report.registration is not None:
        rows.append(("edges", _fits(report)))
    if report.objects is not None:
        mean, most, without = (report.objects[key] for key in ("mean", "most", "without"))
        rows.append(("objects", f"{mean:.3g} an image, at most {most:.0f}; {without:.1%} of the images have none"))
    if shared is not None:
        exact = sum(twin.exact for twin in shared.twins)
        rows.append(("shared", f"{exact} images, and {len(shared.twins) - exact} nearly, with {shared.spec}"))
    session.table(("", spec), rows)
    told = findings(report, shared)
    for finding in told:  # not in the table: paths are long and must not be folded
        say(line(f"{finding.level}: {finding.message}"))
    if not told:
        say("nothing is wrong with it")


def _counted(name: str, sizes: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return sizes in a line where there are few, else with bars."""
    if not sizes:
        return [(name, "none")]
    if len(sizes) <= 2:
        return [(name, ", ".join(f"{size} ({count})" for size, count in sizes.items()) + " height x width")]
    most, total = max(sizes.values()), sum(sizes.values())
    shown = list(sizes.items())[:_ROWS]
    rows = [("", f"{size:<11}  {_bar(count / most)} {count}") for size, count in shown]
    more = len(sizes) - len(shown)
    left = total - sum(count for _, count in shown)
    rest = [("", f"{more} more sizes ({left})")] if more else []
    return [(name, f"{len(sizes)}, height x width"), *rows, *rest]


def _bars(histogram: Sequence[tuple[float, float, float]]) -> list[tuple[str, str]]:
    """Return range and bar for each bin, from two bins each where there are many."""
    bins = list(histogram)
    while len(bins) > 2 * _ROWS:
        pairs = [bins[i : i + 2] for i in range(0, len(bins), 2)]
        bins = [(pair[0][0], pair[-1][1], sum(one[2] for one in pair)) for pair in pairs]
    most = max((share for _, _, share in bins), default=1.0)
    return [
        (f"{low:.3g}-{high:.3g}", f"{_bar(share / most)} {share:.1%}") for low, high, share in bins
    ]


def _bar(share: float) -> str:
    return "#" * max(round(share * _WIDE), 1 if share > 0 else 0)


def _fits(report: Survey) -> str:
    found = report.registration
    assert found is not None
    own, other = found.agreement["as it is"], max(v for k, v in found.agreement.items() if k != "as it is")
    words = {"fits": "image and depth fit", "unknown": "too little to tell", "shifted": "depth is shifted"}
    said = words.get(found.verdict, "image and depth do not fit" if found.verdict == "unrelated" else found.verdict)
    return f"{said} ({found.images} images: {own:.1f} standard deviations as it is, {other:.1f} turned otherwise)"
