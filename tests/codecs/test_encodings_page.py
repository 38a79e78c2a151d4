"""The page on encodings says what the table of encodings says, row by row."""

from __future__ import annotations

from pathlib import Path

from kdcli.codecs import CODECS, Codec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "depth-encodings.md"
HEAD = "| `codec=` | files | metres | besides | who |"


def number(value: float) -> str:
    return f"{value:.10g}"


def formula(codec: Codec) -> str:
    """Return how a stored number v becomes metres."""
    if codec.meaning == "logarithm":
        return "near^(1 - t) * far^t, t = (v - 1) / 65533"
    if codec.meaning == "kinect":
        return "351.3 / (1092.5 - v)"
    stored = f"(v - {number(codec.offset)})" if codec.offset else "v"
    scale = "" if codec.scale == 1 else f" / {number(codec.scale)}" if codec.scale else " / 1000, floats v"
    if codec.meaning == "disparity":
        return f"focal_baseline / ({stored}{scale} + doffs)"
    return f"{stored}{scale}" + (", along the ray" if codec.ray else "")


def besides(codec: Codec) -> str:
    """Return what else there is to know of the numbers."""
    said = [
        *(["16 bits, rotated left by " + str(codec.rotate)] if codec.rotate else []),
        *(["bytes swapped"] if codec.swapped else []), *(["rows bottom-up"] if codec.flipped else []),
        *(["four 8-bit channels are one float"] if codec.packed else []),
        *(["floats without header, of the image's size"] if codec.headerless else []),
        *([f"array `{codec.key}`"] if codec.key else []),
        *([f"channel {codec.channel}, from 0"] if codec.channel is not None else []),
        *(["text chunks `near`, `far`"] if codec.meaning == "logarithm" else []),
        *(["beyond 10 m is none"] if codec.meaning == "kinect" else []),
        *([f"{number(mark)} is none" for mark in codec.none]),
        *([f"{number(codec.sky)} is sky"] if codec.sky is not None else []),
    ]  # fmt: skip
    return ", ".join(said)


def row(codec: Codec) -> str:
    files = ", ".join(codec.containers) or "any"
    return f"| `{codec.name}` | {files} | {formula(codec)} | {besides(codec)} | {codec.about} |"


def test_the_table_is_that_of_the_code() -> None:
    shown = PAGE.read_text(encoding="utf-8").split("<!-- encodings:begin -->\n")[1].split("<!-- encodings:end -->")[0]
    wanted = [HEAD, "|---" * 5 + "|", *(row(codec) for codec in CODECS.values())]
    assert shown.strip().splitlines() == wanted, "write this into the page:\n" + "\n".join(wanted)


def test_every_row_says_who_writes_it() -> None:
    assert all(codec.about for codec in CODECS.values())
