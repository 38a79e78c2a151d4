"""``kdcli plugins``: what is installed, whether it works, what it takes, and how to begin one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from kdcli.cli import kept
from kdcli.cli.complete import plugin_kind, plugin_name
from kdcli.cli.ui import Session, command, say
from kdcli.errors import ConfigError, PluginError

Kind = Annotated[str | None, typer.Option("--kind", help="Only this kind of plugin.", autocompletion=plugin_kind)]
Check = Annotated[bool, typer.Option("--check", help="Load each third-party plugin in a process of its own.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds that one plugin may take to load.")]
Name = Annotated[str, typer.Argument(
    metavar="NAME", help="NAME or DISTRIBUTION:NAME, with :LOCATION and ,key=value where it is to be made.",
    autocompletion=plugin_name,
)]
NewKind = Annotated[str, typer.Argument(
    metavar="KIND", help="teacher, student, loss, mixer, source, exporter, logger, recipe or study.",
    autocompletion=plugin_kind,
)]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="What users will write, for example my-loss.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to put the package in.", file_okay=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Plugins: list, describe, check, begin.", no_args_is_help=True, rich_markup_mode=None)
    command(group, "list", device=False, seed=False, example="kdcli plugins list --kind teacher")(list_)
    command(group, "info", device=False, seed=False, example="kdcli plugins info mobilenet --kind student")(info)
    command(group, "check", device=False, example="kdcli plugins check my-loss")(check)
    command(group, "new", device=False, seed=False, example="kdcli plugins new loss my-loss")(new)
    app.add_typer(group, name="plugins")


def list_(session: Session, kind: Kind = None, check: Check = False, timeout: Timeout = 60.0) -> None:
    """List the installed plugins and their state; without --check nothing of theirs is run."""
    from kdcli.plugins import status as plugin_status

    plugins = plugin_status.listed(_kind(kind))
    if not timeout > 0:
        raise ConfigError(f"--timeout {timeout:g} is no time to load anything; give seconds above 0")
    if check:
        found = plugin_status.check(plugins, seconds=timeout, workers=os.cpu_count() or 1)
    else:
        found = plugin_status.glance(plugins)
    if kind is None:
        found += plugin_status.unreadable()
    columns = ["kind", "name", "distribution", "version", "status", *(["load"] if check else []), "error"]
    seconds = [("" if s.seconds is None else f"{s.seconds:.2f} s",) if check else () for s in found]
    rows = [(s.kind, s.name, s.distribution, s.version, s.status, *took, s.error or _loser(s.shadowed_by))
            for s, took in zip(found, seconds, strict=True)]
    session.result([status.row() for status in found], lambda: session.table(columns, rows))
    broken = [f"{s.distribution}:{s.name}" for s in found if s.status == "broken"]
    if broken and os.environ.get("KDCLI_STRICT_PLUGINS", "0") not in ("", "0"):
        raise PluginError(f"{len(broken)} plugins are broken and KDCLI_STRICT_PLUGINS is set: {', '.join(broken)}")


def info(session: Session, name: Name, kind: Kind = None) -> None:
    """Describe a plugin: where it comes from, what it is, and the keys of its spec."""
    from kdcli.cli.described import described
    from kdcli.plugins.info import describe_all

    found = describe_all(name, _kind(kind))
    session.result([item.row() for item in found], lambda: say(described(found), whole=True))


def check(session: Session, name: Name, kind: Kind = None) -> None:
    """Run the conformance kit on a plugin; exit code 3 when it falls short."""
    from kdcli.testing.isolated import check_isolated

    reports = check_isolated(name, _kind(kind), seed=session.seed)
    rows = [(r.kind, check.name, check.outcome, f"{check.seconds:.2f} s", check.detail)
            for r in reports for check in r.checks]
    columns = ("kind", "check", "outcome", "took", "detail")
    session.result([report.row() for report in reports], lambda: session.table(columns, rows))
    for report in reports:
        if report.exempt:
            session.note(f"'{name}' declares itself exempt from {len(report.exempt)} of {len(report.checks)} checks: "
                         f"{', '.join(report.exempt)}")
    failed = sum(len(report.failed) for report in reports)
    if failed:
        raise PluginError(f"'{name}' fails {failed} of {len(rows)} checks; see the contract in kdcli.protocols")


def new(session: Session, kind: NewKind, name: NewName, out: Out = Path()) -> None:
    """Write an installable package with one plugin and a test that passes."""
    from kdcli.scaffold import folder_of, new_package

    session.keeps(kept.files(folder_of(name, out)))
    package = new_package(_kind(kind) or kind, name, out)
    document = {"folder": str(package.folder), "files": [str(file) for file in package.files],
                "distribution": package.distribution, "kind": package.kind, "name": package.name}
    session.result(document, f"{package.folder}\n  pip install -e {package.folder}\n  kdcli plugins check {name}")


def _kind(text: str | None) -> str | None:
    from kdcli.plugins.registry import kind_named

    return None if text is None else kind_named(text)


def _loser(winner: str | None) -> Any:
    return None if winner is None else f"shadowed by {winner}"
