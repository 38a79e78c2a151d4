"""What reaches a terminal: no controls of others, no letter that stops a command."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdcli.cli import streams
from kdcli.cli.ui import Session, complain

RED, TURN = "\x1b[31m", "\u202e"
ASCII = {
    **{key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHONIOENCODING"))},
    "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0",
}  # fmt: skip


def test_errors_notes_results_and_tables_hold_no_controls(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session()
    complain(f"'{RED}{TURN}x\ny' is wrong; " + "z" * 9999)
    session.note(f"note {RED}")
    session.result(None, f"result {RED}\nsecond")
    session.table(("name", "text"), [(f"a{RED}", "one\ntwo"), ("b", TURN * 999)], title=f"t\n{RED}")
    said, told = capsys.readouterr()
    assert not {RED[0], TURN} & set(said + told)
    assert told.splitlines()[0].startswith("kdcli: '\\x1b[31m\\u202ex y' is wrong") and len(told.splitlines()) == 2
    assert said.splitlines()[:2] == ["result \\x1b[31m", "second"]
    assert len(said.splitlines()) == 7 and max(map(len, said.splitlines())) < 500


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"path": os.fsdecode(b"a\xff"), "text": f"{RED}\n{TURN}"}
    Session(json=True).result(document)
    said = capsys.readouterr().out
    assert json.loads(said) == document
    assert said.isascii() and RED not in said


def test_a_plain_stream_is_one_of_text_for_those_who_ask() -> None:
    beneath = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    stream = streams.Plain(beneath)
    with pytest.raises(TypeError):
        stream.write(b"")  # type: ignore[arg-type]
    assert stream.write(f"{RED}\xfc\n") == 7
    stream.writelines(["a", "\x07"])
    stream.flush()
    assert beneath.buffer.getvalue() == b"\\x1b[31m\\xfc\na\\x07"  # type: ignore[attr-defined]
    assert streams.whole(stream) is beneath and streams.whole(beneath) is beneath  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text there")
@pytest.mark.parametrize("environment", [ASCII, dict(os.environ)], ids=["ascii", "own"])
def test_the_command_line_itself_says_nothing_raw(environment: dict[str, str], tmp_path: Path) -> None:
    odd = os.fsencode(RED + TURN) + b"\xff"
    for arguments in ([b"recipes", b"show", odd], [b"nothing" + odd], [b"eval", odd, b"--data", b"folder:" + odd]):
        done = subprocess.run(
            [sys.executable.encode(), b"-m", b"kdcli", *arguments],
            env=environment, capture_output=True, cwd=tmp_path, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode in (1, 2, 3, 4) and b"Traceback" not in said and b"unexpected" not in said
        assert b"\x1b" not in said and b"\xff" not in said and TURN.encode() not in said
        assert b"\\x1b[31m" in said
    assert not list(tmp_path.iterdir())
