"""``~`` in paths of people, and users without a home, as some containers have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdcli import doctor
from kdcli.errors import ConfigError, KdcliError
from kdcli.files import at_home
from kdcli.models import load_model
from kdcli.plugins import memory
from kdcli.sources import load_source


def test_a_home_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert at_home("~/a") == Path("/home/somebody/a") and at_home("a/~") == Path("a/~")


@pytest.mark.parametrize("path", ["~no-such-user", "~no-such-user/a", "~no-such-user,"])
def test_a_home_of_nobody_is_a_name_like_any_other(path: str) -> None:
    assert at_home(path) == Path(path)
    for name in ("rgbd", "nyu", "kitti", "folder", "scenenet"):
        with pytest.raises(KdcliError, match="no-such-user"):
            load_source(f"{name}:{path}")
    with pytest.raises(KdcliError, match="no-such-user"):
        load_model(f"teacher:onnx:{path},kind=metric")


def test_users_without_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "KDCLI_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as without an entry in the list of users
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no home folder.*KDCLI_CACHE"):
        memory.cache_folder()
    memory.remember("some-plugin", "1.0", "module:Name", "it failed")
    assert memory.recall("some-plugin", "1.0", "module:Name") is None and not list(tmp_path.iterdir())
    monkeypatch.setenv("KDCLI_CACHE", str(tmp_path))
    assert memory.cache_folder() == tmp_path


def test_the_machine_is_examined_without_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none() -> Path:
        raise ConfigError("this user has no home folder for what is kept; set KDCLI_CACHE=DIR")

    monkeypatch.setattr(doctor, "cache_folder", none)
    (told,) = [finding for finding in doctor.examine(tmp_path) if finding.name == "cache"]
    assert told.status == doctor.WARNING and "no home folder" in told.value and "KDCLI_CACHE" in told.hint
