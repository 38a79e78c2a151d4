from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from throwaway import BROKEN, GOOD, broken_ones, distribution, run_kdcli
from typer.testing import CliRunner, Result

from kdcli.cli.app import app
from kdcli.errors import ConfigError, PluginError, WeightsError
from kdcli.plugins import registry
from kdcli.plugins import status as plugin_status
from kdcli.scaffold import new_package

EXITS = BROKEN["exits"]
FIELDS = {"kind", "name", "distribution", "version", "status", "error"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    document = json.loads(done.stdout)
    assert isinstance(document, list)
    return document


def test_listing_with_every_failure_is_clean_json_and_runs_nothing(site: Path, tmp_path: Path) -> None:
    names = broken_ones(site)
    done = run_kdcli("plugins", "list", "--json", path=site, cache=tmp_path / "cache")
    assert done.returncode == 0
    assert done.stderr == ""
    found = rows(done)
    assert all(set(row) >= FIELDS for row in found)
    by_name = {row["name"]: row for row in found if row["kind"] == "loss"}
    assert set(names) <= set(by_name)
    assert by_name["broken-syntax"]["status"] == "broken"
    assert "kdbroken_syntax.py, line 1" in by_name["broken-syntax"]["error"]
    assert {by_name[n]["status"] for n in names} == {"broken", "unchecked"}
    assert by_name["l1"] | {"status": "ok", "error": None, "distribution": "kdcli"} == by_name["l1"]


@pytest.mark.slow
def test_checking_loads_each_in_isolation_and_is_remembered(site: Path, tmp_path: Path) -> None:
    names = broken_ones(site, but="slow")
    distribution(site, "thirdparty-good", {"losses": {"good": "thirdparty_good:Thing"}}, {"thirdparty_good.py": GOOD})
    cache = tmp_path / "cache"
    arguments = ("plugins", "list", "--check", "--timeout", "600", "--kind", "loss", "--json")
    done = run_kdcli(*arguments, path=site, cache=cache, KDCLI_STRICT_PLUGINS="0")
    assert done.returncode == 0
    by_name = {row["name"]: row for row in rows(done)}
    assert {by_name[name]["status"] for name in names} == {"broken"}
    assert "ends the process with code 3" in by_name["broken-dies"]["error"]
    assert "SystemExit: 7" in by_name["broken-exits"]["error"]
    assert by_name["good"]["status"] == "ok"
    assert by_name["good"]["seconds"] > 0
    again = run_kdcli("plugins", "list", "--json", path=site, cache=cache)
    remembered = {row["name"]: row for row in rows(again) if row["kind"] == "mixer"}
    assert {remembered[name]["status"] for name in names} == {"broken"}


def test_a_load_that_takes_too_long_is_ended(here: Path) -> None:
    distribution(here, "kdbroken-slow", {"losses": {"s": "kdbroken_slow:Thing"}}, {"kdbroken_slow.py": BROKEN["slow"]})
    (state,) = plugin_status.check([registry.find("loss", "s")], seconds=0.5)
    assert (state.status, state.error) == ("broken", "takes longer than 0.5 s to import")


@pytest.mark.slow
def test_strict_makes_a_broken_plugin_fatal(site: Path, tmp_path: Path) -> None:
    module = {"kdbroken_wrong.py": BROKEN["wrong"]}
    distribution(site, "kdbroken-wrong", {"losses": {"w": "kdbroken_wrong:Thing"}}, module)
    done = run_kdcli("plugins", "list", "--check", "--kind", "loss", "--json", path=site, cache=tmp_path,
                     KDCLI_STRICT_PLUGINS="1")
    assert done.returncode == 3
    assert rows(done)
    assert done.stderr.strip() == "kdcli: 1 plugins are broken and KDCLI_STRICT_PLUGINS is set: kdbroken-wrong:w"


def test_info_tells_origin_keys_and_text(site: Path, tmp_path: Path) -> None:
    distribution(site, "thirdparty-good", {"losses": {"good": "thirdparty_good:Thing"}}, {"thirdparty_good.py": GOOD})
    done = run_kdcli("plugins", "info", "good", "--json", path=site, cache=tmp_path)
    (row,) = rows(done)
    assert row["origin"] == f"{site / 'thirdparty_good.py'}:2"
    assert row["doc"] == "A thing that works."
    assert row["takes_location"] is True
    assert row["keys"] == [{"name": "size", "type": "int", "default": "3"}]
    told = run_kdcli("plugins", "info", "good", path=site, cache=tmp_path)
    assert "spec: good:LOCATION,key=value..." in told.stdout
    missing = run_kdcli("plugins", "info", "goood", path=site, cache=tmp_path)
    assert missing.returncode == 3
    assert "Did you mean 'good'?" in missing.stderr


OFF = """
from kdcli.types import ANY_KIND, Needs

class Thing:
    api_version = 2
    needs = Needs(kinds=ANY_KIND)
    value_at_equality = 5.0
    invariances = frozenset()

    def terms(self, ctx):
        target, valid = ctx.target()
        return {"x": ((ctx.student.out.depth - target) ** 2).mean()}
"""


UNARMED = """
from kdcli.errors import WeightsError

class Thing:
    api_version = 2

    def __init__(self, location: str | None = None) -> None:
        raise WeightsError("needs a weights file; write it")
"""


@pytest.fixture
def here(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of distributions, in sight of this process."""
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "cache"))
    registry.discover.cache_clear()
    yield site
    monkeypatch.undo()
    registry.discover.cache_clear()
    for module in [name for name in sys.modules if name.startswith(("thirdparty", "kdbroken"))]:
        del sys.modules[module]


def checked(*arguments: str) -> tuple[Result, list[dict[str, Any]]]:
    """Run ``kdcli plugins check --json`` in this process."""
    done = CliRunner().invoke(app, ["plugins", "check", *arguments, "--json"])
    return done, json.loads(done.stdout) if done.stdout else []


def test_check_runs_the_kit_by_name(here: Path) -> None:
    distribution(here, "thirdparty-off", {"losses": {"off": "thirdparty_off:Thing"}}, {"thirdparty_off.py": OFF})
    bad, (report,) = checked("off")
    outcome = {check["name"]: check["outcome"] for check in report["checks"]}
    assert outcome["value at equality"] == "failed"
    assert outcome["finite differences"] == "passed"
    assert isinstance(bad.exception, PluginError)
    assert bad.exception.exit_code == 3
    good, (report,) = checked("kdcli:l1", "--kind", "losses")
    assert good.exit_code == 0
    assert {check["outcome"] for check in report["checks"]} == {"passed", "skipped"}


def test_check_of_what_does_not_load_is_a_finding(here: Path) -> None:
    distribution(here, "kdbroken-exits", {"losses": {"e": "kdbroken_exits:Thing"}}, {"kdbroken_exits.py": EXITS})
    done, (report,) = checked("e")
    assert isinstance(done.exception, PluginError)
    assert [check["name"] for check in report["checks"]] == ["loads"]


CRASHES = {"exits": "os._exit(0)", "aborts": "os.abort()"}


@pytest.mark.parametrize("name", sorted(CRASHES))
def test_a_crash_at_import_is_found_by_check_and_list(here: Path, name: str) -> None:
    source = f"import os\n{CRASHES[name]}\n"
    distribution(here, "kdbroken-crash", {"losses": {"crash": "kdbroken_crash:Thing"}}, {"kdbroken_crash.py": source})
    done, (report,) = checked("crash")
    assert isinstance(done.exception, PluginError)
    (found,) = report["checks"]
    how = {"exits": "ends the process with code 0", "aborts": "crashes the process with SIGABRT"}[name]
    assert found["name"] == "loads"
    assert found["detail"] == f"loss 'crash' of kdbroken-crash 1.0 {how} when imported"
    (remembered,) = [s for s in plugin_status.glance(plugin_status.listed("loss")) if s.name == "crash"]
    assert (remembered.status, remembered.error) == ("broken", f"{how} when imported")
    (tried,) = plugin_status.check([registry.find("loss", "crash")])
    assert (tried.status, tried.error) == ("broken", f"{how} when imported")


def test_a_crash_in_the_middle_of_a_check_is_a_finding(here: Path) -> None:
    source = OFF.replace("        target, valid", "        import os; os._exit(0)\n        target, valid")
    distribution(here, "thirdparty-off", {"losses": {"off": "thirdparty_off:Thing"}}, {"thirdparty_off.py": source})
    done, (report,) = checked("off")
    assert isinstance(done.exception, PluginError)
    assert [check["name"] for check in report["checks"]] == ["survives"]
    assert "loss 'off' of thirdparty-off 1.0 ends the process with code 0 while" in report["checks"][0]["detail"]


def test_check_passes_over_what_needs_weights_but_not_when_it_is_alone(here: Path) -> None:
    points = {"teachers": {"twofold": "thirdparty_twofold:Thing"}, "losses": {"twofold": "kdcli.losses.pointwise:L1"}}
    distribution(here, "thirdparty-twofold", points, {"thirdparty_twofold.py": UNARMED})
    done, reports = checked("twofold")
    assert done.exit_code == 0
    assert [(r["kind"], len(r["checks"]) > 1) for r in reports] == [("teacher", False), ("loss", True)]
    assert reports[0]["checks"][0]["outcome"] == "skipped"
    alone, _ = checked("twofold", "--kind", "teacher")
    assert isinstance(alone.exception, WeightsError)


@pytest.mark.parametrize("kind", sorted(registry.GROUPS))
def test_a_new_package_passes_its_own_test(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = new_package(kind, f"fresh-{kind}", tmp_path)
    monkeypatch.syspath_prepend(str(package.folder))
    test = package.folder / "tests" / f"test_fresh_{kind}.py"
    spec = importlib.util.spec_from_file_location(f"generated_{kind}", test)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.test_conforms()


@pytest.mark.slow
def test_a_new_package_installs_is_found_and_passes(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="building the package without a network needs hatchling here")
    arguments = ("plugins", "new", "loss", "fresh", "--out", tmp_path, "--json")
    made = run_kdcli(*arguments, path=tmp_path, cache=tmp_path / "c")
    assert made.returncode == 0, made.stderr
    folder = Path(json.loads(made.stdout)["folder"])
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
           "--disable-pip-version-check", "--target", str(site), str(folder)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    env = {**os.environ, "PYTHONPATH": str(site), "KDCLI_CACHE": str(tmp_path / "c")}
    test = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder, env=env,
                          capture_output=True, text=True, check=False)
    assert test.returncode == 0, test.stdout
    assert "1 passed" in test.stdout
    listed = run_kdcli("plugins", "list", "--check", "--kind", "loss", "--json", path=site, cache=tmp_path / "c")
    assert [row["status"] for row in rows(listed) if row["name"] == "fresh"] == ["ok"]


@pytest.mark.parametrize("name", ["", "My-Loss", "a_b", "-x", "x-", "1x", "a b", "../x", "l1"])
def test_names_that_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        new_package("loss", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "kdcli-mine").mkdir()
    with pytest.raises(ConfigError, match="exists"):
        new_package("loss", "mine", tmp_path)
