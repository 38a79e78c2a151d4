"""Damaged metadata of somebody's distribution costs that distribution alone, and is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from throwaway import GOOD, distribution, run_kdcli

from kdcli import doctor
from kdcli.errors import PluginError
from kdcli.plugins import metadata, registry
from kdcli.plugins import status as plugin_status


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of distributions with a sound one, in sight of this process."""
    folder = tmp_path / "site"
    distribution(folder, "sound", {"losses": {"sound": "thirdparty_sound:Thing"}}, {"thirdparty_sound.py": GOOD})
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KDCLI_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(str(folder))
    registry.discover.cache_clear()
    yield folder
    monkeypatch.undo()
    registry.discover.cache_clear()
    sys.modules.pop("thirdparty_sound", None)


def info(site: Path, name: str, points: str | bytes, *, version: str = "1.0", head: str | bytes | None = "") -> Path:
    """Write a dist-info folder by hand. head: METADATA; empty for a right one, None for none."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_bytes(points if isinstance(points, bytes) else points.encode())
    if head == "":
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if head is not None:
        (folder / "METADATA").write_bytes(head if isinstance(head, bytes) else head.encode())
    registry.discover.cache_clear()
    return folder


def told(name: str) -> plugin_status.Status:
    (found,) = [state for state in plugin_status.unreadable() if state.distribution == name]
    return found


def names(distribution: str) -> set[str]:
    return {plugin.name for plugin in registry.discover() if plugin.distribution == distribution}


DAMAGED: dict[str, tuple[str | bytes, str]] = {
    "no-sign": ("[console_scripts]\nthis line is none\n", "line 2 of entry_points.txt, 'this line is none'"),
    "no-sign-ours": ("[kdcli.losses]\nno sign\n", "'no sign', is not NAME = MODULE:FACTORY"),
    "latin": (b"[kdcli.losses]\nna\xefve = a:B\n", "not UTF-8 at byte 17"),
    "nul": (b"[kdcli.losses]\na\0b = a:B\n", r"'a\\x00b' has a name that nobody can write"),
    "colours": ("[kdcli.losses]\n\x1b[31mred = a:B\n", r"'\\x1b\[31mred' has a name"),
    "long": (f"[kdcli.losses]\n{'n' * 5000} = a:B\n", r"'nnn.* \.\.\. n+' has a name"),
    "spaces": ("[kdcli.losses]\nmy loss = a:B\n", "'my loss' has a name"),
    "huge": (b"# \n" * 400_000, "more than 1,048,576 bytes"),
}


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_each_damage_is_told_and_hides_nobody_else(site: Path, name: str) -> None:
    text, reason = DAMAGED[name]
    info(site, f"bad_{name.replace('-', '_')}", text)
    assert names("sound") == {"sound"}
    assert registry.build("loss", "sound").size == 3
    assert "l1" in names("kdcli")
    state = told(f"bad-{name}")
    assert state.error is not None
    assert re.search(reason, state.error), state.error
    assert state.error.isprintable()
    assert len(state.error) < 400
    assert state.status == ("unreadable" if name in ("no-sign", "huge") else "broken")


def test_sound_lines_of_a_damaged_file_count(site: Path) -> None:
    info(site, "half", "[kdcli.losses]\nfirst = a:B\noops\nlast = a:C\n")
    assert names("half") == {"first", "last"}
    assert "line 3" in (told("half").error or "")


@pytest.mark.parametrize(
    ("head", "reason"),
    [(None, "METADATA cannot be read"), (b"Name: na\xefve\n", "not UTF-8 at byte 8"), ("Version: 3\n", "has no Name")],
    ids=["missing", "latin", "nameless"],
)
def test_without_a_name_the_folders_counts(site: Path, head: str | bytes | None, reason: str) -> None:
    info(site, "Odd_One", "[kdcli.losses]\nodd = a:B\n", head=head, version="2.5")
    (plugin,) = [plugin for plugin in registry.discover() if plugin.name == "odd"]
    assert (plugin.distribution, plugin.version) == ("odd-one", "2.5")
    assert reason in (told("odd-one").error or "")


def test_names_and_versions_are_printable_and_short(site: Path) -> None:
    head = f"Name: \x1b[31m{'x' * 900}\nVersion: 1\x07{'0' * 900}\n"
    info(site, "loud", "[kdcli.losses]\nloud = a:B\n", head=head)
    (plugin,) = [plugin for plugin in registry.discover() if plugin.name == "loud"]
    assert plugin.distribution == "loud"
    assert plugin.label.isprintable()
    assert len(plugin.label) < 200


def test_of_two_versions_side_by_side_the_newer_counts(site: Path) -> None:
    for version in ("1.9", "1.10", "1.2"):
        info(site, "twice", f"[kdcli.losses]\nv{version.replace('.', '-')} = a:B\n", version=version)
    assert names("twice") == {"v1-10"}
    states = [state for state in plugin_status.unreadable() if state.distribution == "twice"]
    assert states
    assert all("side by side" in (state.error or "") for state in states)


def test_a_folder_that_cannot_be_read_is_told(site: Path, tmp_path: Path) -> None:
    (site / "gone-1.0.dist-info").symlink_to(tmp_path / "nowhere")
    (site / "round-1.0.dist-info").symlink_to(site / "round-1.0.dist-info")
    folder = site / "inside-1.0.dist-info"
    (folder / "entry_points.txt").mkdir(parents=True)
    registry.discover.cache_clear()
    assert names("sound") == {"sound"}
    for name in ("gone", "round", "inside"):
        assert told(name).error


def test_an_import_hook_that_fails_hides_nobody(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hook:
        def find_distributions(self, context: Any) -> list[Any]:
            raise RuntimeError("no luck")

    monkeypatch.setattr(sys, "meta_path", [Hook(), *sys.meta_path])
    registry.discover.cache_clear()
    assert names("sound") == {"sound"}
    assert "no luck" in (told("Hook").error or "")


GARBAGE = ["", "???", "a b:c", ":Thing", "a:", "\x1b[31m:x", "x" * 5000, "a:b:c", "..:y", ".a:b", "os:no.such.thing"]


@pytest.mark.parametrize("value", GARBAGE, ids=lambda value: ascii(value[:12]))
def test_a_garbage_value_is_a_broken_plugin(site: Path, value: str) -> None:
    info(site, "garbage", f"[kdcli.losses]\ngarbage = {value}\n")
    plugin = registry.find("loss", "garbage")
    if value != "os:no.such.thing":
        assert plugin_status.glance([plugin])[0].status == "broken"
    with pytest.raises(PluginError, match=r"^loss 'garbage' of garbage 1\.0 ") as caught:
        registry.load(plugin)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_the_same_folder_twice_on_the_path_is_one(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    registry.discover.cache_clear()
    assert names("sound") == {"sound"}
    assert plugin_status.unreadable() == []


def test_what_is_read_agrees_with_the_standard_library(site: Path) -> None:
    from importlib.metadata import entry_points

    theirs = {(p.group, p.name, p.value) for group in registry.GROUPS.values() for p in entry_points(group=group)}
    assert {(p.group, p.name, p.value) for p in metadata.read("kdcli.").points} == theirs
    assert len(theirs) > 50


def test_list_and_doctor_name_the_distribution(site: Path, tmp_path: Path) -> None:
    info(site, "bad", "[console_scripts]\nno sign at all\n")
    done = run_kdcli("plugins", "list", "--json", path=site, cache=tmp_path, KDCLI_STRICT_PLUGINS="1")
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout) if row["kind"] == "distribution"]
    assert (row["name"], row["status"]) == ("bad", "unreadable")
    findings = {finding.name: finding for finding in doctor._plugins()}
    assert findings["distribution bad"].status == "warning"
    assert "no sign at all" in findings["distribution bad"].value


def test_strict_makes_damage_to_our_groups_fatal(site: Path, tmp_path: Path) -> None:
    info(site, "bad", "[kdcli.losses]\nno sign at all\n")
    done = run_kdcli("plugins", "list", path=site, cache=tmp_path, KDCLI_STRICT_PLUGINS="1")
    assert done.returncode == 3
    assert "bad:bad" in done.stderr


def test_damaged_metadata_do_not_keep_torch_from_being_imported(site: Path, tmp_path: Path) -> None:
    """PyTorch reads all entry points at its import, which damaged ones make fail in a plain Python."""
    info(site, "bad", "[console_scripts]\nno sign at all\n")
    done = run_kdcli("plugins", "info", "mobilenet", "--kind", "student", path=site, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "student mobilenet" in done.stdout


def test_what_is_sound_is_as_it_was(site: Path) -> None:
    """In a process of its own: the function of the standard library stays changed."""
    code = (
        "from importlib import metadata; from kdcli.plugins.lenient import be_lenient; told = lambda: sorted("
        "(p.name, p.value) for p in metadata.entry_points(group='kdcli.losses')); before = told(); be_lenient(); "
        "be_lenient(); assert told() == before and ('sound', 'thirdparty_sound:Thing') in before; print(len(before))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    info(site, "bad", "[console_scripts]\nno sign at all\n")
    code = code.replace("before = told(); be_lenient()", "be_lenient(); before = told()", 1)
    again = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0 and again.stdout == done.stdout, again.stderr
