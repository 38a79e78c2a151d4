"""Download weights: resumable, verified, and silent when told to stay offline."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from kdcli.errors import WeightsError
from kdcli.files import sha256_of
from kdcli.weights.table import Entry, entry, folders

_CHUNK = 1 << 20

Progress = Callable[[int, int | None], None]
"""Told the bytes so far and, where known, the total."""


def pull(
    name: str | Entry, folder: Path | None = None, *, timeout: float = 30.0, progress: Progress | None = None
) -> Path:
    """Fetch weights of the table and return their file; a file that is there already is only verified.

    A download that stops leaves ``FILE.part`` and is continued by the next call. ``KDCLI_OFFLINE=1`` forbids it.

    Args:
        name: of the table, or an entry.
        folder: where to put the file; the first folder that is searched when None.
        timeout: seconds without a byte after which to give up.
        progress: called after every block.

    Raises:
        WeightsError: offline, no direct address, refused by the server, cut short, or of another hash.
    """
    wanted = entry(name) if isinstance(name, str) else name
    target = (folder or folders()[0]) / wanted.file
    if target.is_file():
        _verify(target, wanted, remove=False)
        return target
    if os.environ.get("KDCLI_OFFLINE", "0").lower() not in ("", "0", "false", "no"):
        raise WeightsError(f"'{wanted.name}' is not here and KDCLI_OFFLINE is set; unset it and {wanted.advice}")
    if wanted.address is None:
        raise WeightsError(f"weights '{wanted.name}' have no direct address; {wanted.advice}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part, tag = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.etag")
    _fetch(wanted, wanted.address, part, tag, timeout, progress)
    _verify(part, wanted, remove=True)
    part.replace(target)
    tag.unlink(missing_ok=True)
    return target


def _fetch(wanted: Entry, address: str, part: Path, tag: Path, timeout: float, progress: Progress | None) -> None:
    """Fill the part file, from where it ended if the server still has the same content."""
    begin = part.stat().st_size if part.is_file() and tag.is_file() else 0
    headers = {"User-Agent": "kdcli", "Accept-Encoding": "identity"}
    if begin:
        # If-Range: a changed file is sent whole instead of being glued to the start of the old one.
        headers |= {"Range": f"bytes={begin}-", "If-Range": tag.read_text(encoding="ascii")}
    done = begin
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=timeout) as answer:
            if answer.status != 206:
                begin = done = 0
            if answer.headers.get_content_type() == "text/html":
                raise WeightsError(f"{address} answered with a web page, not with {wanted.file}; {_by_hand(wanted)}")
            length = answer.headers.get("Content-Length")
            total = begin + int(length) if length else wanted.size
            _room(part.parent, (total or 0) - done)
            etag = answer.headers.get("ETag", "")
            # A weak or absent tag proves nothing about the bytes: such a download is not continued.
            if re.fullmatch(r'"[\x21-\x7e]+"', etag):
                tag.write_text(etag, encoding="ascii")
            else:
                tag.unlink(missing_ok=True)
            with part.open("ab" if begin else "wb") as stream:
                while block := answer.read(_CHUNK):
                    stream.write(block)
                    done += len(block)
                    if progress is not None:
                        progress(done, total)
    except urllib.error.HTTPError as error:
        if error.code == 416 and begin and str(error.headers.get("Content-Range", "")).endswith(f"/{begin}"):
            return  # the part file was complete already
        if error.code == 416:
            part.unlink(missing_ok=True)
        raise WeightsError(f"{address} answered {error.code} {error.reason}; {_by_hand(wanted)}") from error
    except http.client.IncompleteRead as error:
        raise _cut_short(wanted, done, None) from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"{address} cannot be read ({reason}) after {done} bytes; "
            f"run `kdcli weights pull {wanted.name}` again to go on, or {_by_hand(wanted)}"
        ) from error
    if total is not None and done != total:
        raise _cut_short(wanted, done, total)


def _cut_short(wanted: Entry, done: int, total: int | None) -> WeightsError:
    of = f" of {total}" if total else ""
    return WeightsError(
        f"the download of '{wanted.name}' stopped at {done}{of} bytes; "
        f"run `kdcli weights pull {wanted.name}` again to go on"
    )


def _by_hand(wanted: Entry) -> str:
    return f"put {wanted.file} in {folders()[0]} by hand"


def _room(folder: Path, wanted: int) -> None:
    free = wanted
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(folder).free
    if free < wanted:
        raise WeightsError(f"'{folder}' has {free} bytes free and {wanted} are needed; set KDCLI_WEIGHTS to another")


def _verify(file: Path, wanted: Entry, *, remove: bool) -> None:
    size = file.stat().st_size
    hash_ = sha256_of(file) if wanted.sha256 else None
    if (wanted.size is None or size == wanted.size) and hash_ == wanted.sha256:
        return
    if remove:
        file.unlink()
    got = f"{size} bytes, expected {wanted.size}" if hash_ == wanted.sha256 else f"sha256 {hash_}, not {wanted.sha256}"
    what = "was removed; pull it again" if remove else f"delete '{file}' and pull it again"
    raise WeightsError(f"'{wanted.file}' is not what it should be ({got}); {what}")
