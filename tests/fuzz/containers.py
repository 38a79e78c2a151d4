"""Files made of parts, damaged in a part so that the rest still holds: what a checksum would hide is reached."""

from __future__ import annotations

import io
import json
import random
import struct
import warnings
import zipfile
import zlib

from mutations import VALUES, damaged, flipped, twisted

_SIGN = b"\x89PNG\r\n\x1a\n"
_TYPES = (
    b"IHDR",
    b"PLTE",
    b"IDAT",
    b"IEND",
    b"tRNS",
    b"gAMA",
    b"pHYs",
    b"eXIf",
    b"tEXt",
    b"zTXt",
    b"iTXt",
    b"iCCP",
    b"acTL",
    b"fcTL",
)
_NUMBERS = (0, 1, 2, 7, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)


def damaged_head(content: bytes, draw: random.Random) -> bytes:
    """Bits and numbers of the first or last two hundred bytes, where most forms say how large they are."""
    width = min(200, len(content))
    begin = 0 if draw.random() < 0.7 else len(content) - width
    part = bytearray(flipped(content[begin : begin + width], draw))
    if draw.random() < 0.5 and width > 8:
        place, order = draw.randrange(width - 4), draw.choice("<>")
        part[place : place + 4] = struct.pack(f"{order}I", draw.choice(_NUMBERS))
    return content[:begin] + bytes(part) + content[begin + width :]


def damaged_png(content: bytes, draw: random.Random) -> bytes:
    """A chunk changed, left out, moved, put in or written twice; all checksums are right."""
    chunks, at = [], len(_SIGN)
    while at + 12 <= len(content):
        size = struct.unpack(">I", content[at : at + 4])[0]
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    place, way = draw.randrange(len(chunks)), draw.randrange(7)
    kind, data = chunks[place]
    if way == 0:
        del chunks[place]
    elif way == 1:
        chunks.insert(draw.randrange(len(chunks)), chunks[place])
    elif way == 2:
        draw.shuffle(chunks)
    elif way == 3:
        added = draw.choice(
            (
                data,
                draw.randbytes(30),
                b"Comment\0\0" + zlib.compress(b"\0" * 10**6),
                b"depth_units_per_metre\0nan",
                b"depth_units_per_metre\x001e-300",
                b"depth_units_per_metre\x00" + b"9" * 400,
            )
        )
        chunks.insert(draw.randrange(1, len(chunks)), (draw.choice(_TYPES), added))
    elif way == 4 and kind == b"IDAT":
        chunks[place] = (kind, zlib.compress(damaged(zlib.decompress(data), draw)))
    else:
        chunks[place] = (kind, damaged_head(data, draw))
    joined = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return _SIGN + b"".join(joined)


def damaged_zip(content: bytes, draw: random.Random) -> bytes:
    """A member changed, left out, under another name or twice; the archive itself is sound."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(item.filename, archive.read(item)) for item in archive.infolist()]
    place, way = draw.randrange(len(members)), draw.randrange(6)
    name, data = members[place]
    if way == 0:
        del members[place]
    elif way == 1:
        members[place] = (
            draw.choice(("", "x", "../x.npy", "/x.npy", "a/b", "depth.npy", "mask.npy", "\xe4.npy", "a" * 300)),
            data,
        )
    elif way == 2:
        members.insert(draw.randrange(len(members) + 1), (name, damaged(data, draw)))
    elif way == 3:
        members[place] = (name, damaged_head(data, draw))
    else:
        members[place] = (name, damaged(data, draw))
    made = io.BytesIO()
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(made, "w", draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive,
    ):
        warnings.simplefilter("ignore")  # two members of a name are meant
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name or "."), data)
    return made.getvalue()


def damaged_npy(content: bytes, draw: random.Random) -> bytes:
    """Another number type, shape or order in the header; its length is right unless that is what is wrong."""
    size = struct.unpack("<H", content[8:10])[0]
    kind = draw.choice(
        (
            "'<f4'",
            "'<f8'",
            "'<f2'",
            "'|b1'",
            "'<i8'",
            "'<u2'",
            "'>u4'",
            "'|O'",
            "'<U9'",
            "'<c8'",
            "'|S0'",
            "'<M8[s]'",
            "[('a', '<f4')]",
            "[]",
            "'|V4'",
            "None",
            "3",
            "'<f99'",
            "'" + "x" * 99 + "'",
        )
    )
    shape = draw.choice(
        (
            "()",
            "(0,)",
            "(24, 0)",
            "(24, 32)",
            "(32, 24)",
            "(-1, 32)",
            "(24, 32, 1)",
            "(1,) * 3",
            "(1, 1, 24, 32)",
            "(10**9, 10**9)",
            "(99999, 99999)",
            "(2**63, 2)",
            "'x'",
            "[24, 32]",
            "(24.0, 32)",
            "(True, 768)",
            "(1, 768)",
            f"({'1, ' * 70})",
            "(" * 300 + ")" * 300,
        )
    )
    order = draw.choice(("False", "False", "True", "None", "0", "'x'"))
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    if draw.random() < 0.2:
        header = damaged(content[10 : 10 + size], draw)
    declared = len(header) if draw.random() < 0.8 else draw.choice((0, 1, 65535))
    version = draw.choice((b"\x01\0", b"\x01\0", b"\x01\0", b"\x02\0", b"\x03\0", b"\x09\0"))
    length = struct.pack("<H", min(declared, 65535)) if version[0] == 1 else struct.pack("<I", declared)
    return content[:6] + version + length + header + content[10 + size :]


def damaged_safetensors(content: bytes, draw: random.Random) -> bytes:
    """A value of the header, which is JSON and may hold JSON, changed; its length is right mostly."""
    size = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    notes = header.get("__metadata__") or {}
    inner = [key for key, text in notes.items() if text[:1] in "{["]
    way = draw.randrange(4)
    if way == 0 and inner:
        key = draw.choice(inner)
        notes[key] = json.dumps(twisted(json.loads(notes[key]), draw))
    elif way == 1 and notes:
        notes[draw.choice(list(notes))] = draw.choice([value for value in VALUES if isinstance(value, str)])
    elif way == 2:
        header = twisted(header, draw)
    else:
        data = damaged(data, draw)
    text = json.dumps(header).encode()
    declared = len(text) if draw.random() < 0.9 else draw.choice((0, 1, 10**6, 2**40, 2**64 - 1))
    return struct.pack("<Q", declared) + text + data
