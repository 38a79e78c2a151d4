"""What one writes in place of a spec or a key, and what is said of it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from kdcli.errors import ConfigError, PluginError, SpecError
from kdcli.plugins import registry
from kdcli.plugins.elsewhere import PACKAGES
from kdcli.plugins.plugin import GROUPS
from kdcli.spec import parse

ROOT = Path(__file__).resolve().parents[2]


def test_a_path_gets_the_spec_that_it_was_meant_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("done").mkdir()
    Path("done/manifest.json").write_text("{}")
    for path, said in (("./photos", "folder:./photos"), (f"{tmp_path}/photos", f"folder:{tmp_path}/photos"),
                       ("nets/teacher.onnx", "onnx:nets/teacher.onnx"), ("./done", "run:./done")):
        with pytest.raises(SpecError, match=r"is a path where a spec belongs") as told:
            parse(path)
        assert said in str(told.value)
    with pytest.raises(PluginError, match="It is a path; write folder:photos"):
        registry.build("source", "photos")
    with pytest.raises(PluginError, match="It is a path; write run:done"):
        registry.build("teacher", "done")
    with pytest.raises(PluginError, match="Did you mean 'folder'"):
        registry.build("source", "foldr:photos")  # no such path: a slip of the pen


def test_a_plugin_of_another_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCLI_PLUGINS", "")  # nobody's but kdcli's own
    registry.discover.cache_clear()
    try:
        for kind, spec, package in (("teacher", "hf:Intel/zoedepth", "kdcli-huggingface"),
                                    ("source", "hf:nyu", "kdcli-huggingface"), ("student", "pydnet", "kdcli-pydnet")):
            with pytest.raises(PluginError, match=f"pip install {package}$"):
                registry.build(kind, spec)
    finally:
        monkeypatch.undo()
        registry.discover.cache_clear()


def test_the_table_of_other_packages_is_what_they_bring() -> None:
    kinds = {group: kind for kind, group in GROUPS.items()}
    found = {}
    for path in ROOT.glob("plugins/kdcli-[!z]*/pyproject.toml"):  # methods are not named in kdcli
        project = tomllib.loads(path.read_text())["project"]
        if project["name"] == "kdcli-trials":  # nothing of it is meant for use
            continue
        found[project["name"]] = {
            kinds[group]: frozenset(names) for group, names in project.get("entry-points", {}).items()
        }
    assert found == PACKAGES


def test_a_key_of_a_recipe_gets_the_nearest() -> None:
    from kdcli.choosing import choose

    for setting, near in (("distill.lrr=1", "lr"), ("stepz=1", "steps"), ("eval_dat=none", "eval_data")):
        with pytest.raises(ConfigError, match=f"Did you mean '{near}'") as told:
            choose("data-free", {}, (setting,))
        assert "Keys:" not in str(told.value)
    with pytest.raises(ConfigError, match="Keys: name"):
        choose("data-free", {}, ("qqqqqqqq=1",))


def test_every_extra_that_is_named_exists_and_none_is_what_comes_with_kdcli() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    texts = [p.read_text(encoding="utf-8") for p in ROOT.glob("kdcli/**/*.py")] + [
        p.read_text(encoding="utf-8") for p in (ROOT / "README.md", *ROOT.glob("docs/*.md"))]
    named = {one for text in texts for part in text.split("kdcli[")[1:] for one in part.split("]")[0].split(",")}
    assert {one for one in named if one.isalpha()} <= set(extras), named - set(extras)
    own = {name.split(">")[0] for name in project["dependencies"]}
    for extra, needed in extras.items():
        assert extra == "dev" or {name.split("=")[0].split(">")[0] for name in needed} - own, f"{extra}: nothing new"
