"""Tables and folded text at the widths of terminals: nothing is lost, nothing is too wide, no word is cut that fits."""

from __future__ import annotations

import io
import os
import re
import sys

import pytest
from typer.testing import CliRunner

from kdcli.cli import folding, tables
from kdcli.cli.app import app
from kdcli.cli.folding import columns, fold, prose, width
from kdcli.cli.tables import lines_of, print_table
from kdcli.cli.ui import Session, complain, say

NAMES = ("run", "state", "delta1", "go on with")
ROWS = [
    ("runs/first", "finished", "student 0.912 [0.901, 0.923], twin 0.899 [0.887, 0.911]", ""),
    ("runs/2026-11-29_2010_data-free-mobilenet", "interrupted", "", "kdcli distill --resume runs/2026-11-29_2010"),
]


def flat(texts: list[str]) -> str:
    return "".join("".join(texts).split())


@pytest.mark.parametrize("wide", [20, 40, 60, 80, 120, 400])
def test_a_table_fits_and_loses_nothing(wide: int) -> None:
    head, body = lines_of(NAMES, ROWS, wide)
    assert max(map(width, head + body)) <= wide
    words = {word for line in head + body for word in line.split()}
    for row in ROWS:
        for cell in row:
            assert all(word in words for word in cell.split() if len(word) < wide - 8), cell
    if wide == 400:
        assert len(head) == 1 and len(body) == len(ROWS)
        assert body[0].index("finished") == body[1].index("interrupted") == head[0].index("state")


def test_columns_without_room_stand_below_their_row() -> None:
    head, body = lines_of(NAMES, ROWS, 60)
    assert head == ["run                                       state"]
    assert body[0].split() == ["runs/first", "finished"]
    assert body[1] == "    delta1: student 0.912 [0.901, 0.923], twin 0.899 [0.887,"
    assert not any(line.strip().startswith("go on with:") for line in body[: body.index(next(
        line for line in body if "interrupted" in line))])  # nothing to say, no line
    assert "    go on with: kdcli distill --resume runs/2026-11-29_2010" in body


def test_a_single_column_and_no_row_at_all() -> None:
    assert lines_of(("name",), [], 20) == (["name"], [])
    assert lines_of(("name",), [("x" * 45,)], 20)[1] == ["x" * 20, "x" * 20, "x" * 5]


def test_wide_letters_take_two_columns_and_marks_none() -> None:
    assert (width("\u6df1\u5ea6"), width("e\u0301"), width("abc")) == (4, 1, 3)
    three = 3 * "\u6df1\u5ea6"
    assert all(width(line) <= 5 for line in fold(f"{three} ab", 5))
    assert "".join(fold(f"{three} ab", 5)).replace(" ", "") == f"{three}ab"


def test_words_are_broken_only_where_they_are_too_wide_and_then_behind_a_sign() -> None:
    assert fold("give kitti-garg or nyu-eigen", 14) == ["give", "kitti-garg or", "nyu-eigen"]
    assert fold("kind=metric|scale_invariant|affine", 16) == ["kind=metric|", "scale_invariant|", "affine"]
    assert fold("one\ntwo three", 40) == ["one", "two three"]


def test_how_wide_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "73")
    assert columns() == 73
    for nonsense in ("", "0", "-4", "wide"):
        monkeypatch.setenv("COLUMNS", nonsense)
        monkeypatch.setattr(os, "get_terminal_size", lambda number: (_ for _ in ()).throw(OSError()))
        assert columns() == folding.FALLBACK
    # In a pipe standard output tells nothing; standard error is still the terminal.
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size((64, 24)))
    assert columns() == 64


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("setting", "bold"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_names_are_bold_on_a_terminal_alone(
    setting: dict[str, str], bold: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tables, "terminal_columns", lambda: 80)
    monkeypatch.setattr(sys, "stdout", _Terminal())
    print_table(NAMES, ROWS, title="runs")
    assert ("\x1b[1m" in sys.stdout.getvalue()) is bold  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    print_table(NAMES, ROWS)
    assert "\x1b" not in sys.stdout.getvalue()  # type: ignore[attr-defined]


SENTENCE = (
    "no photograph was found below the folder; take others with: kdcli distill --data folder:photos --out runs/b, or "
    "none"
)


@pytest.mark.parametrize("wide", [30, 60, 80, 120])
def test_sentences_fold_between_words_and_keep_commands_whole(wide: int) -> None:
    folded = prose(f"  {SENTENCE}", wide)
    assert " ".join(folded.split()) == SENTENCE
    command = "kdcli distill --data folder:photos --out runs/b,"
    assert command in folded and folded.startswith("  no photograph")
    assert all(width(one) <= wide for one in folded.split("\n") if command not in one)
    assert prose("short\n\nlines", wide) == "short\n\nlines"


def test_sentences_fold_on_a_terminal_alone_and_files_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for stream in (_Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        for tell in (say, complain, Session().note):
            tell(SENTENCE)
            assert ("\n" in stream.getvalue().rstrip()) is stream.isatty(), tell
            stream.seek(0)
            stream.truncate()
        say(SENTENCE, whole=True)
        assert stream.getvalue() == f"{SENTENCE}\n"


def test_columns_of_which_no_row_has_anything_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    Session().table(("pixel", "depth", "truth"), [("1,2", 3.0, ""), ("4,5", 6.0, None)])
    assert capsys.readouterr().out.splitlines()[0].split() == ["pixel", "depth"]
    Session().table(("run", "state"), [])
    assert capsys.readouterr().out.split() == ["run", "state"]


LISTINGS = ("plugins list", "recipes list", "recipes show auto", "weights list", "doctor", "eval --protocol list",
            "plugins info adabins", "plugins info log-l1", "plugins info object", "runs list")


@pytest.mark.parametrize("call", LISTINGS)
@pytest.mark.parametrize("wide", [60, 80, 120])
def test_listings_fit_also_in_a_pipe(call: str, wide: int) -> None:
    done = CliRunner().invoke(app, call.split(), env={"COLUMNS": str(wide)})
    assert done.exit_code == 0, done.output
    wider = [line for line in done.stdout.splitlines() if len(line) > wide]
    assert all(re.fullmatch(r"from /\S+:\d+", line) for line in wider), wider  # a path alone on its line stays whole
    assert "\x1b" not in done.output and "``" not in done.stdout and "frozenset" not in done.stdout
