"""Work that is shared by a folder: each piece is one process's at a time, and nobody's clock is trusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from left_behind import GONE

from kdcli import claims
from kdcli.claims import Claims
from kdcli.locks import NAME, Busy, only_one, put_away
from kdcli.processes import myself

RACE = """
import os, sys
from pathlib import Path
from kdcli.claims import Claims
with Claims(Path(sys.argv[1])) as mine:
    won = [name for name in map(str, range(300)) if mine.take(name)]
    print(*won, flush=True)
    sys.stdin.read()
"""


def written(folder: Path, name: str, **facts: Any) -> Path:
    """Write a claim as another process would have."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(json.dumps({**claims._record(), **facts}))
    return path


def test_of_processes_that_race_each_piece_goes_to_one(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    racing = [subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path)], stdin=pipe, stdout=pipe, text=True)
              for _ in range(3)]  # fmt: skip
    won = [name for process in racing for name in process.stdout.readline().split()]  # type: ignore[union-attr]
    for process in racing:
        process.communicate("", timeout=60)
    assert sorted(won, key=int) == [str(number) for number in range(300)]


def test_what_is_left_is_taken_next_and_all_that_is_finished_is_put_away(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    with Claims(folder) as one, Claims(folder) as two:
        assert one.take("a") is not None and two.take("a") is None and one.take("b") is not None
        one.ended("a", "failed", "no number")
        assert (two.look("a").end, two.look("a").why) == ("failed", "no number")
        again = two.take("a")
        assert again is not None and again.number == 2 and again.after is None and one.take("a") is None
        two.ended("a", "finished")
        assert one.look("a").end == "finished" and two.look("b").held
    assert sorted(path.name for path in folder.glob("[ab]*")) == ["a.1", "a.2", "b.1"]
    assert Claims(folder).look("b").end == "left"
    with Claims(folder) as three:
        assert three.take("b") is not None
        three.ended("b", "finished")
    assert not folder.exists()


@pytest.mark.parametrize(("facts", "gone"), [
    ({"pid": GONE}, True),
    ({"pid": os.getpid(), "started": "0"}, True),  # its id is another's by now
    ({"pid": GONE, "space": "pid:[1]"}, False),  # of another container, whose processes cannot be seen
    ({"pid": GONE, "boot": "another"}, False),  # of a machine of the same name, or from before this one's start
])
@pytest.mark.skipif(not claims._space(), reason="the system does not tell containers apart")
def test_who_is_gone_can_be_seen_only_from_where_it_ran(tmp_path: Path, facts: dict[str, Any], gone: bool) -> None:
    written(tmp_path, "a.1", **facts)
    with Claims(tmp_path) as mine:
        claim = mine.take("a")
        assert (claim is not None) is gone
        assert claim is None or (claim.after is not None and claim.after.pid == facts["pid"])


def test_a_sign_of_life_is_a_change_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("kdcli.claims.time.monotonic", lambda: clock[0])
    path = written(tmp_path, "a.1", host="elsewhere", boot="another")
    mine = Claims(tmp_path)
    for beat in range(4):
        os.utime(path, (1.0, 1.0 - beat))  # a clock that runs backwards
        clock[0] += claims.SILENCE - 1
        assert mine.take("a") is None and mine.at_work()
    clock[0] += claims.SILENCE + 1
    assert not mine.at_work()
    claim = mine.take("a")
    assert claim is not None and claim.number == 2 and claim.after is not None and claim.after.host == "elsewhere"
    # The other wakes up: it learns that its claim is gone, and writes nothing more.
    theirs = claims.Claim(path=tmp_path / "a", number=1)
    theirs.ended("finished")
    assert theirs.lost and mine.look("a").held and not claim.lost


def test_a_claim_that_was_only_half_written_is_somebodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.1").write_text('{"pid": 3')
    mine = Claims(tmp_path)
    assert mine.take("a") is None
    monkeypatch.setattr(claims, "SILENCE", -1.0)
    assert mine.take("a") is not None


def test_a_folder_put_away_and_begun_anew_is_no_way_to_own_a_piece_twice(tmp_path: Path) -> None:
    mine = Claims(tmp_path)
    written(tmp_path, "a.2")  # taken over while this one thought of number 1
    assert mine.take("a") is None


def test_the_lock_of_an_owner_elsewhere_is_put_away_once_it_is_known_to_be_gone(tmp_path: Path) -> None:
    away = {**myself().document(), "host": "elsewhere", "boot": "another"}
    (tmp_path / NAME).write_text(json.dumps(away))
    put_away(tmp_path, "nobody")
    with pytest.raises(Busy, match="machine 'elsewhere'"), only_one(tmp_path):
        pass
    put_away(tmp_path, "elsewhere")
    with only_one(tmp_path):
        put_away(tmp_path, myself().host)
        assert (tmp_path / NAME).exists()
