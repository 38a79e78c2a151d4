"""Drafts: only names of kdcli's own are cleaned, and only those of the dead."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from left_behind import draft_of_the_dead

from kdcli import drafts
from kdcli.drafts import clean, draft_of, is_draft, left_behind, whole_folder
from kdcli.files import atomic, require_writable, write_text

OTHERS = (".git/config", ".gitignore", ".mine.json", ".state.abcd1234.pt", ".kdcli-notes", ".a.kdcli-1-2-3-4.png",
          "a.kdcli-00000000-1-00000000-00000000.png", ".DS_Store", "._a.png")  # fmt: skip

RACE = """
import sys
from pathlib import Path
from kdcli.drafts import whole_folder
won = 0
for i in range(100):
    try:
        with whole_folder(Path(sys.argv[1], str(i))) as draft:
            (draft / "who").write_text(sys.argv[2])
        won += 1
    except FileExistsError:
        pass
print(won)
"""


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_only_drafts_of_the_dead_are_cleaned(tmp_path: Path) -> None:
    for name in OTHERS:
        write_text(tmp_path / "run" / name, "precious")
    for name in OTHERS[1:]:
        write_text(tmp_path / "run" / "deep" / name, "precious")
    kept = everything(tmp_path)
    alive = draft_of(tmp_path / "run" / "state.pt")
    alive.touch()
    for name in ("state.pt", "deep/0.png", "deep/noending"):
        draft_of_the_dead(tmp_path / "run" / name).touch()
    (draft_of_the_dead(tmp_path / "run" / "seed1") / "inside").mkdir(parents=True)
    link = draft_of_the_dead(tmp_path / "run" / "link")
    link.symlink_to(tmp_path / "run" / ".git")
    clean(tmp_path / "run")
    assert everything(tmp_path) == sorted([*kept, f"run/{alive.name}", f"run/{link.name}"])


def test_drafts_of_another_machine_are_judged_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(drafts, "short", lambda *words: "00000000")
        draft = draft_of(tmp_path / "state.pt")
    draft.touch()
    assert is_draft(draft.name) and not left_behind(draft)
    old = time.time() - drafts.FOREIGN_SECONDS - 60
    os.utime(draft, (old, old))
    assert left_behind(draft)


def test_an_id_that_was_given_out_again_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = draft_of(tmp_path / "state.pt")
    assert not left_behind(draft)
    monkeypatch.setattr(drafts, "started", lambda pid: "another time")
    assert left_behind(draft)


@pytest.mark.parametrize("name", ["a" * 250 + ".png", "\u00e4" * 125 + ".png", "x", ".hidden", "a.b.c"])
def test_names_of_any_length_can_be_written(tmp_path: Path, name: str) -> None:
    with atomic(tmp_path / name) as temporary:
        assert is_draft(temporary.name) and Path(name).suffix in ("", temporary.suffix)
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    require_writable(tmp_path / "other" / name)
    assert everything(tmp_path) == [name]


def test_of_processes_that_make_the_same_folder_one_succeeds(tmp_path: Path) -> None:
    racing = [subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path), str(i)], stdout=subprocess.PIPE, text=True)
              for i in range(3)]  # fmt: skip
    won = [int(process.communicate(timeout=120)[0]) for process in racing]
    assert sum(won) == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(100)))
    who = [(tmp_path / str(i) / "who").read_text() for i in range(100)]
    assert won == [who.count(str(i)) for i in range(3)]


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    left = draft_of_the_dead(tmp_path / "another")
    left.mkdir()
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "new") as draft:
        (draft / "a").touch()
        raise ZeroDivisionError
    assert everything(tmp_path) == []
    (tmp_path / "new").mkdir()
    with whole_folder(tmp_path / "new") as draft:
        (draft / "a").touch()
    assert everything(tmp_path) == ["new", "new/a"]
    with pytest.raises(FileExistsError), whole_folder(tmp_path / "new") as draft:
        (draft / "b").touch()
    assert everything(tmp_path) == ["new", "new/a"]
