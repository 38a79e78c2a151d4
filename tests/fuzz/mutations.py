"""Ways in which a file goes wrong, each drawn by a seeded generator: the same seed gives the same files.

``damaged`` changes bytes and knows nothing of them; ``twisted`` changes the values in a tree of JSON or TOML, so that
the file still parses; ``damaged_document`` draws one of both for a file that is such a tree.
"""

from __future__ import annotations

import json
import os
import random
import tomllib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

SEED, TIMES = os.environ.get("KDCLI_FUZZ_SEED", ""), float(os.environ.get("KDCLI_FUZZ_TIMES", "1"))
"""Another seed draws other files, ``KDCLI_FUZZ_TIMES=20`` draws twenty times as many."""
ONLY = os.environ.get("KDCLI_FUZZ_ONLY", "")
"""The number of one input, to draw it alone, as a failure names it."""

NOT_UTF8 = b"\xff\xfe\x80"
DEPTH = 20_000

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 10**40, -(10**18), 0.5, 1e308, float("nan"), float("inf"), "", "x", "nan",
    "../../etc", "a\0b", "\ud800", "\x1b[31m", "x" * 5000, [], [[]], {}, {"": {}}, [None], ["x", 3],
)
"""What stands where something else is meant. No number is large and allowed: none may cost memory or time."""


def inputs(family: str, number: int) -> Iterator[tuple[str, random.Random]]:
    """Yield how an input is called in a failure, and the generator that draws it; each can be drawn alone."""
    chosen: Iterable[int] = [int(ONLY)] if ONLY else range(max(1, round(number * TIMES)))
    for which in chosen:
        repeat = f"KDCLI_FUZZ_SEED={SEED!r} KDCLI_FUZZ_ONLY={which} python -m pytest -n 0 tests/fuzz -k '{family}'"
        yield f"input {which} of '{family}' ({repeat})", random.Random(f"{family}/{which}/{SEED}")


def shown(content: bytes) -> str:
    """Return bytes for a failure: as text where they are short, else their beginning in hexadecimal."""
    return repr(content) if len(content) < 600 else f"{len(content)} bytes, {content[:1000].hex()}"


def flipped(content: bytes, draw: random.Random) -> bytes:
    """One to eight bits the other way round."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 8) if changed else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def truncated(content: bytes, draw: random.Random) -> bytes:
    """The beginning, or nothing."""
    return content[: draw.randrange(len(content) + 1)]


def without_a_piece(content: bytes, draw: random.Random) -> bytes:
    """A piece left out."""
    begin = draw.randrange(len(content) + 1)
    return content[:begin] + content[begin + draw.randint(1, 40):]


def with_a_piece_twice(content: bytes, draw: random.Random) -> bytes:
    """A piece written once more."""
    begin = draw.randrange(len(content) + 1)
    return content[:begin] + content[begin: begin + 200] + content[begin:]


def with_something_in_it(content: bytes, draw: random.Random) -> bytes:
    """NUL, bytes that are not UTF-8, or brackets without end, put in somewhere."""
    pieces = (b"\0", b"\0" * 512, NOT_UTF8, b"[" * DEPTH, b'{"a":' * DEPTH, b"\r", b"\x1b[2J", b"9" * 5000, b"'", b'"')
    begin = draw.randrange(len(content) + 1)
    return content[:begin] + draw.choice(pieces) + content[begin:]


def something_else(content: bytes, draw: random.Random) -> bytes:
    """Another file altogether."""
    return draw.choice((b"", b"\0" * len(content), NOT_UTF8 * 40, draw.randbytes(300), b"PK\x03\x04" + content[:40],
                        b"\xef\xbb\xbf" + content, content.decode("latin-1").encode("utf-16"), b"null", b"[]", b"{}",
                        b"[" * DEPTH, b"a." * DEPTH + b"a = 1", b"version https://git-lfs.github.com/spec/v1\n"))


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped, truncated, without_a_piece, with_a_piece_twice, with_something_in_it, something_else,
)


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return a file's content, changed in one of the ways."""
    return draw.choice(BYTES)(content, draw)


def twisted(document: Any, draw: random.Random) -> Any:
    """Return a tree with another value, or none, in one place of it; it may be the root."""
    places = list(_places(document))
    where = draw.choice([*places, *([()] if draw.random() < 0.1 else [])]) if places else ()
    copied = json.loads(json.dumps(document, default=str))
    if not where:
        return draw.choice(VALUES)
    owner = copied
    for key in where[:-1]:
        owner = owner[key]
    way = draw.randrange(8)
    if way == 0:
        del owner[where[-1]]
    elif way == 1 and isinstance(owner, dict):
        owner[draw.choice(("", "x", "constructor", "a.b", "a" * 300))] = owner.pop(where[-1])
    elif way == 2:
        nested: Any = 1
        for _ in range(draw.choice((70, 150))):
            nested = [nested] if draw.random() < 0.5 else {"a": nested}
        owner[where[-1]] = nested
    else:
        owner[where[-1]] = draw.choice(VALUES)
    return copied


def damaged_document(content: bytes, draw: random.Random, form: str) -> bytes:
    """Return a file of JSON, of JSON lines or of TOML (``json``, ``jsonl``, ``toml``), damaged in its bytes or tree."""
    if draw.random() < 0.4:
        return damaged(content, draw)
    text = content.decode("utf-8")
    if form == "toml":
        return toml_of(twisted(tomllib.loads(text), draw)).encode("utf-8", "surrogatepass")
    if form == "jsonl":
        lines = text.splitlines()
        place = draw.randrange(len(lines))
        lines[place] = json.dumps(twisted(json.loads(lines[place]), draw))
        return ("\n".join(lines) + "\n").encode()
    return json.dumps(twisted(json.loads(text), draw)).encode()


def toml_of(document: Any) -> str:
    """Write a tree as TOML, tables in lines; what TOML has no word for is left out."""
    if not isinstance(document, dict):
        return f"value = {_value(document)}\n"
    return "".join(f"{_text(key)} = {_value(value)}\n" for key, value in document.items() if value is not None)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        inner = (f"{_text(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return "{ " + ", ".join(inner) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value if item is not None) + "]"
    return "''" if value is None else repr(value)


def _text(text: str) -> str:
    return '"' + "".join(
        f"\\u{ord(letter):04x}" if letter in '"\\' or ord(letter) < 32 or ord(letter) == 127 else letter
        for letter in text
    ) + '"'


def _places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*at, key)
        yield from _places(value, (*at, key))
