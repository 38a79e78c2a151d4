"""A process that owned a folder, slept, and wakes up when another one owns it: it puts nothing into its place there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kdcli import drafts, locks
from kdcli.claims import Claims
from kdcli.drafts import Lost, draft_of, owning, remove_of
from kdcli.files import atomic, write_text
from kdcli.locks import NAME, only_one
from kdcli.processes import myself
from kdcli.together import together

OTHER = json.dumps(replace(myself(), host="elsewhere", boot="another").document())


def taken_over(folder: Path) -> None:
    """Do what the new owner does: its name first, then away with the drafts of the one before, then its own work."""
    (folder / NAME).unlink()
    (folder / NAME).write_text(OTHER)
    remove_of(folder, myself())
    (folder / "manifest.json").write_text("theirs")


def _atomic(path: Path) -> None:
    write_text(path, "mine")


def _together(path: Path) -> None:
    with together(path) as draft:
        draft.write_text("mine")
        (draft.parent / "beside").write_text("mine")


@pytest.mark.parametrize("write", [_atomic, _together])
def test_what_wakes_up_late_writes_nothing(tmp_path: Path, write: Callable[[Path], None]) -> None:
    with only_one(tmp_path):
        write(tmp_path / "manifest.json")
        taken_over(tmp_path)
        with pytest.raises(Lost, match=f"another one took over '{tmp_path}', or its '{NAME}' was removed"):
            write(tmp_path / "manifest.json")
        with pytest.raises(Lost):
            write(tmp_path / "deep" / "new.json")
    assert (tmp_path / "manifest.json").read_text() == "theirs"
    assert (tmp_path / NAME).read_text() == OTHER
    assert {path.name for path in tmp_path.iterdir()} <= {"manifest.json", NAME, "deep", "beside"}
    write(tmp_path / "manifest.json")  # who owns nothing is not asked


def test_asleep_between_the_question_and_the_renaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one moment that asking alone would miss: the draft is gone by then."""
    asked = drafts.require_owned

    def asleep(path: Path) -> None:
        asked(path)
        if (tmp_path / "manifest.json").read_text() == "begun":
            taken_over(tmp_path)

    with only_one(tmp_path):
        write_text(tmp_path / "manifest.json", "begun")
        monkeypatch.setattr(drafts, "require_owned", asleep)
        with pytest.raises(Lost):
            write_text(tmp_path / "manifest.json", "mine")
    assert (tmp_path / "manifest.json").read_text() == "theirs"
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.json", NAME}


def test_asleep_while_it_writes(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(Lost), atomic(tmp_path / "manifest.json") as draft:
        draft.write_text("mine")
        taken_over(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == "theirs"


def test_who_takes_over_leaves_the_drafts_of_others(tmp_path: Path) -> None:
    asleep, third = replace(myself(), host="elsewhere"), replace(myself(), host="third")
    (tmp_path / "deep").mkdir()
    (tmp_path / NAME).write_text(json.dumps(replace(asleep, boot="another").document()))
    made = {}
    for who in (replace(asleep, boot="another"), third, myself()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drafts, "myself", lambda who=who: who)
            made[who.host] = draft_of(tmp_path / "deep" / "state.pt")
        made[who.host].touch()
    locks.put_away(tmp_path, "elsewhere")
    assert [host for host, path in made.items() if path.exists()] == ["third", myself().host]
    assert not (tmp_path / NAME).exists()


def test_a_claim_is_asked_likewise(tmp_path: Path) -> None:
    with Claims(tmp_path / "claims") as mine:
        claim = mine.take("tables")
        assert claim is not None
        with owning(tmp_path, claim.require):
            write_text(tmp_path / "report.md", "first")
            (tmp_path / "claims" / "tables.2").write_text(OTHER)
            with pytest.raises(Lost):
                write_text(tmp_path / "report.md", "late")
        assert mine.ended("tables", "finished") is False
    assert (tmp_path / "report.md").read_text() == "first"
