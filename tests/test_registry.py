from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from throwaway import BROKEN, GOOD, distribution

from kdcli import interrupts
from kdcli.errors import ConfigError, DataError, PluginError, SpecError
from kdcli.plugins import registry
from kdcli.plugins import status as plugin_status
from kdcli.plugins.info import describe
from kdcli.spec import parse
from kdcli.study import plan, read

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install throw-away distributions for this test alone; the registry looks again after each."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KDCLI_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)

    def add(name: str, points: dict[str, dict[str, str]], modules: dict[str, str], **more: str) -> None:
        distribution(folder, name, points, modules, **more)
        forget()

    yield add
    forget()
    for module in set(sys.modules) - before:
        if module.startswith(("kdbroken", "thirdparty")):
            del sys.modules[module]


def forget() -> None:
    registry.discover.cache_clear()
    registry.load.cache_clear()


def status_of(name: str) -> plugin_status.Status:
    return next(s for s in plugin_status.glance(plugin_status.listed()) if s.name == name)


def test_every_built_in_loads() -> None:
    built_in = [plugin for plugin in registry.discover() if plugin.built_in]
    assert {plugin.kind for plugin in built_in} == set(registry.GROUPS)
    for plugin in built_in:
        if plugin.is_data:
            assert registry.data_file(plugin).suffix == ".toml"
        else:
            assert registry.load(plugin).api_version == 2


def test_discovery_and_glance_import_nothing(tmp_path: Path) -> None:
    distribution(tmp_path, "thirdparty", {"losses": {"x": "thirdparty_pkg.sub:Thing"}},
                 {"thirdparty_pkg/__init__.py": "raise RuntimeError", "thirdparty_pkg/sub.py": GOOD})
    code = (
        "import sys; from kdcli.plugins import status as s; found = s.glance(s.listed());"
        "assert [f.status for f in found if f.name == 'x'] == ['unchecked'], found;"
        "bad = {'torch', 'numpy', 'thirdparty_pkg', 'timm', 'rich'} & set(sys.modules); assert not bad, bad"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "KDCLI_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_third_party_plugin_is_found_bound_and_built(install: Install) -> None:
    install("Third_Party", {"losses": {"my-thing": "thirdparty:Thing"}}, {"thirdparty.py": GOOD})
    plugin = registry.find("loss", "my_thing")
    assert (plugin.distribution, plugin.version, plugin.built_in) == ("third-party", "1.0", False)
    thing = registry.build("loss", "my-thing:/a/b,size=7")
    assert (thing.location, thing.size) == ("/a/b", 7)


def test_built_ins_win_and_the_loser_has_an_address(install: Install) -> None:
    install("rival", {"losses": {"l1": "thirdparty_rival:Thing"}}, {"thirdparty_rival.py": GOOD})
    assert registry.find("loss", "l1").built_in
    rival = registry.find("loss", "rival:l1")
    assert rival.shadowed_by == "kdcli:l1"
    assert status_of("l1").status == "ok"
    assert [s.status for s in plugin_status.glance([rival])] == ["shadowed"]
    assert registry.build("loss", "rival:l1:/weights,size=2").location == "/weights"
    assert registry.build("loss", "rival:l1,size=2").size == 2
    assert type(registry.build("loss", "kdcli:l1")).__module__ == "kdcli.losses.pointwise"


def test_a_distribution_named_like_a_plugin_keeps_both_meanings(install: Install) -> None:
    install("net", {"teachers": {"net": "thirdparty_net:Thing"}}, {"thirdparty_net.py": GOOD})
    assert registry.resolve("teacher", parse("net:/w.pt"))[1].location == "/w.pt"
    plugin, spec = registry.resolve("teacher", parse("net:net:/w.pt"))
    assert (plugin.address, spec.location) == ("net:net", "/w.pt")


@pytest.mark.parametrize(("name", "hint"), [("l2", "'l1'"), ("affine-invarant", "'affine-invariant'")])
def test_unknown_names_get_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(PluginError, match=f"Did you mean {hint}.*kdcli plugins list"):
        registry.find("loss", name)


def test_kinds_are_named_in_singular_and_plural() -> None:
    assert registry.kind_named("Losses") == registry.kind_named("loss") == "loss"
    with pytest.raises(ConfigError, match="Did you mean 'mixer'"):
        registry.kind_named("mixr")


def test_the_allow_list_restricts_others_but_not_kdcli(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        install(name, {"losses": {f"thing-{name}": f"thirdparty_{name}:Thing"}}, {f"thirdparty_{name}.py": GOOD})
    monkeypatch.setenv("KDCLI_PLUGINS", "two")
    forget()
    assert {"thing-two", "l1"} <= set(registry.names("loss"))
    assert "thing-one" not in registry.names("loss")
    monkeypatch.setenv("KDCLI_PLUGINS", "")
    forget()
    assert {plugin.distribution for plugin in registry.discover()} == {"kdcli"}


def test_the_first_copy_on_the_path_counts(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = tmp_path / "later"
    distribution(later, "twice", {"losses": {"t": "thirdparty_t:Thing"}}, {}, version="9.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(later)])
    install("twice", {"losses": {"t": "thirdparty_t:Thing"}}, {"thirdparty_t.py": GOOD}, version="1.0")
    assert [p.version for p in registry.discover() if p.name == "t"] == ["1.0"]


def test_damaged_metadata_breaks_no_listing(install: Install) -> None:
    install("damaged", {"losses": {"d": "thirdparty_d:Thing"}}, {"thirdparty_d.py": GOOD}, metadata="")
    assert any(p.name == "d" for p in registry.discover())


EXPECTED = {
    "missing": "ModuleNotFoundError", "syntax": "SyntaxError", "exits": "SystemExit: 7", "noisy": "is int, not a class",
    "wrong": "is int, not a class", "old": "contract 0.*update kdbroken-old", "new": "contract 99.*update kdcli",
    "nothing": "AttributeError",
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_broken_plugin_is_one_error_for_its_user(
    install: Install, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    module = f"kdbroken_{name}"
    install(f"kdbroken-{name}", {"losses": {"broken": f"{module}:Thing"}}, {f"{module}.py": BROKEN[name]})
    with pytest.raises(PluginError, match=EXPECTED[name]) as caught:
        registry.build("loss", "broken")
    assert "\n" not in str(caught.value)
    out, err = capfd.readouterr()
    assert out == ""
    assert ("NOISE ON STDOUT" in err and "NOISE ON THE DESCRIPTOR" in err) == (name == "noisy")


def test_interruption_is_not_swallowed(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during an import stays Ctrl-C; ``raise KeyboardInterrupt`` in a module is that module's fault."""
    interrupts.forget()  # what a test before this one asked for
    source = "import signal\nsignal.raise_signal(signal.SIGINT)\n"
    install("kdbroken-int", {"losses": {"i": "kdbroken_int:Thing"}}, {"kdbroken_int.py": source})
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            registry.build("loss", "i")
    finally:
        signal.signal(signal.SIGINT, before)
    assert status_of("i").status == "unchecked"  # that the user had enough says nothing of the plugin
    install("kdbroken-own", {"losses": {"o": "kdbroken_own:Thing"}}, {"kdbroken_own.py": "raise KeyboardInterrupt"})
    with pytest.raises(PluginError, match=r"loss 'o' of kdbroken-own 1\.0 cannot be loaded: KeyboardInterrupt"):
        registry.build("loss", "o")


def test_a_failed_load_is_remembered_until_the_file_changes(install: Install, tmp_path: Path) -> None:
    module = {"kdbroken_mem.py": "raise ValueError('no luck')"}
    install("kdbroken-mem", {"losses": {"mem": "kdbroken_mem:Thing"}}, module)
    assert status_of("mem").status == "unchecked"
    with pytest.raises(PluginError):
        registry.build("loss", "mem")
    state = status_of("mem")
    assert state.status == "broken"
    assert state.error == "cannot be loaded: ValueError: no luck; update or uninstall that package"
    file = tmp_path / "site" / "kdbroken_mem.py"
    file.write_text(GOOD)
    os.utime(file, ns=(1, 1))
    assert status_of("mem").status == "unchecked"


def test_a_load_that_works_clears_the_memory(install: Install, tmp_path: Path) -> None:
    source = "import os\nif os.environ.get('KD_FAIL'): raise ValueError('now')\n" + GOOD
    install("kdbroken-env", {"losses": {"env": "kdbroken_env:Thing"}}, {"kdbroken_env.py": source})
    os.environ["KD_FAIL"] = "1"
    try:
        with pytest.raises(PluginError):
            registry.build("loss", "env")
    finally:
        del os.environ["KD_FAIL"]
    assert status_of("env").status == "broken"
    forget()
    assert registry.build("loss", "env").size == 3
    assert status_of("env").status == "unchecked"


def test_a_cache_that_cannot_be_written_costs_nothing(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path / "file" / "cache"))
    install("kdbroken-ro", {"losses": {"ro": "kdbroken_ro:Thing"}}, {"kdbroken_ro.py": "raise ValueError('first')"})
    with pytest.raises(PluginError, match="first"):
        registry.build("loss", "ro")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("raise RuntimeError('inside')", PluginError), ("raise SystemExit(1)", PluginError),
        ("from kdcli.errors import DataError; raise DataError('mine')", DataError),
    ],
)
def test_what_a_constructor_raises(install: Install, body: str, error: type[Exception]) -> None:
    source = f"class Thing:\n    api_version = 2\n    def __init__(self):\n        {body}\n"
    install("kdbroken-init", {"losses": {"init": "kdbroken_init:Thing"}}, {"kdbroken_init.py": source})
    with pytest.raises(error):
        registry.build("loss", "init")


def test_unknown_keys_are_refused_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="Did you mean 'width'"):
        registry.build("student", "mobilenet,widht=1")


def test_a_recipe_is_found_without_running_its_package(install: Install) -> None:
    install("thirdparty-r", {"recipes": {"mine": "thirdparty_r.deep:mine.toml", "gone": "thirdparty_r.deep:no.toml"}},
            {"thirdparty_r/__init__.py": "raise RuntimeError", "thirdparty_r/deep/__init__.py": "raise RuntimeError",
             "thirdparty_r/deep/mine.toml": "[run]\n"})
    assert registry.data_file(registry.find("recipe", "mine")).read_text() == "[run]\n"
    assert status_of("mine").status == "ok"
    assert status_of("gone").status == "broken"
    with pytest.raises(PluginError, match=r"is data.*kdcli recipes show mine"):
        registry.load(registry.find("recipe", "mine"))


STUDY = """# What it asks.
[study]
name = "of-a-package"
eval_data = "sim:rooms,count=4"
[[arm]]
name = "a"
recipe = "plain"
"""


def test_a_study_is_found_without_running_its_package(install: Install) -> None:
    points = {"mine": "thirdparty_s.deep:mine.toml", "gone": "thirdparty_s:gone.toml", "bad": "thirdparty_s:bad.toml"}
    install("thirdparty-s", {"studies": points},
            {"thirdparty_s/__init__.py": "raise RuntimeError", "thirdparty_s/deep/__init__.py": "raise RuntimeError",
             "thirdparty_s/deep/mine.toml": STUDY, "thirdparty_s/bad.toml": "[study"})
    path, text = read("mine")
    assert (path, text) == (registry.data_file(registry.find("study", "mine")), STUDY)
    assert read("thirdparty-s:mine")[1] == STUDY and plan(text, source=path).name == "of-a-package"
    assert [status_of(name).status for name in ("mine", "gone", "bad")] == ["ok", "broken", "broken"]
    assert describe(registry.find("study", "mine")).doc == "What it asks."
    with pytest.raises(PluginError, match=r"is data.*kdcli study mine --dry-run"):
        registry.load(registry.find("study", "mine"))
    with pytest.raises(PluginError, match=r"study .gone. of thirdparty-s names .*, which does not exist"):
        read("gone")
    with pytest.raises(ConfigError, match=r"no study .min.*Did you mean .mine.*Studies: .*mine"):
        read("min")
