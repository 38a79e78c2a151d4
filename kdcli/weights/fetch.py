"""One download over HTTP: resumed where the last one ended, and every way to fail told in one line."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from kdcli.errors import WeightsError
from kdcli.weights.table import Entry

_CHUNK = 1 << 20

_PASSING = {408, 425, 429} | {code for code in HTTPStatus if code >= 500}
"""Answers that another try may change."""

MOST = 1 << 35
"""Most bytes of a download whose size neither the server nor the table tells: 32 GiB."""

_TAG = re.compile(r'"[\x21\x23-\x7e]+"')
"""A strong tag; a weak or absent one proves nothing about the bytes, and such a download is not continued."""

Progress = Callable[[int, int | None], None]
"""Told the bytes so far and, where known, the total."""


def fetch(
    wanted: Entry, address: str, part: Path, *, timeout: float = 30.0, progress: Progress | None = None
) -> None:
    """Fill a part file, from where it ended if the server still has the same content.

    A part that is not complete stays, and beside it the server's tag of the content that it is a part of.

    Args:
        wanted: what the download is for; for the messages.
        address: where from.
        part: the file to fill.
        timeout: seconds without a byte after which to give up.
        progress: called after every block.

    Raises:
        WeightsError: refused by the server, a web page, cut short, stalled, or the disk is full.
    """
    tag = tag_of(part)
    same = tag.read_bytes().decode("latin-1") if tag.is_file() else ""
    begin = part.stat().st_size if part.is_file() and _TAG.fullmatch(same) else 0
    headers = {"User-Agent": "kdcli", "Accept-Encoding": "identity"}
    if begin:
        # If-Range: a changed file is sent whole instead of being glued to the start of the old one.
        headers |= {"Range": f"bytes={begin}-", "If-Range": same}
    opener = urllib.request.build_opener(_Redirects(wanted))
    try:
        answer = opener.open(urllib.request.Request(address, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416 and begin and str(error.headers.get("Content-Range", "")).endswith(f"/{begin}"):
            return  # the part file was complete already
        if error.code == 416:
            discard(part)
        raise _refused(wanted, address, error) from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an address that is none
        raise _unreadable(wanted, address, error, begin) from error
    with answer:
        if answer.headers.get_content_type() == "text/html":
            raise _page(wanted, answer.url)
        if answer.status != 206:
            begin = 0
        elif not str(answer.headers.get("Content-Range", f"bytes {begin}-")).startswith(f"bytes {begin}-"):
            discard(part)
            raise _changed(wanted, "sent another part of it than was asked for")
        total = _announced(answer.headers.get("Content-Length"), begin)
        most = wanted.size if wanted.size is not None and wanted.member is None else MOST
        if total is not None and total > most:
            discard(part)
            raise _changed(wanted, f"has {total} bytes there, expected {'at most ' if most == MOST else ''}{most}")
        room(part.parent, (total or 0) - begin)
        etag = answer.headers.get("ETag", "")
        if _TAG.fullmatch(etag):
            tag.write_text(etag, encoding="ascii")
        else:
            tag.unlink(missing_ok=True)
        with part.open("ab" if begin else "wb") as stream:
            done = _copy(wanted, answer, stream, begin, total, progress, most if total is None else total)
    if done > (most if total is None else total):
        discard(part)
        raise _changed(wanted, f"sends more than {done - 1} bytes, and was stopped")
    if total is not None and done != total:
        raise _cut_short(wanted, done, total)
    with part.open("rb") as stream:
        start = stream.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        discard(part)
        raise _page(wanted, answer.url)


def tag_of(part: Path) -> Path:
    """Return the file beside a part file that holds the server's tag."""
    return part.with_name(f"{part.name}.etag")


def discard(part: Path) -> None:
    """Remove a part file and its tag."""
    part.unlink(missing_ok=True)
    tag_of(part).unlink(missing_ok=True)


def _announced(length: str | None, begin: int) -> int | None:
    """Return how many bytes the whole file has, by the server's word for what it is about to send."""
    return begin + int(length) if length and length.isascii() and length.isdecimal() else None


def _copy(
    wanted: Entry, answer: Any, stream: IO[bytes], begin: int, total: int | None, progress: Progress | None, most: int
) -> int:
    """Copy what comes, and not a byte more than one beyond the most that may come; return how many are there."""
    done = begin
    while True:
        try:
            # read1 gives what has arrived: a server that stalls costs nothing of what it has sent.
            block = answer.read1(min(_CHUNK, most - done + 1))
        except http.client.IncompleteRead as error:
            raise _cut_short(wanted, done, None) from error
        except (OSError, http.client.HTTPException) as error:
            raise _unreadable(wanted, answer.url, error, done) from error
        if not block:
            return done
        if done + len(block) > most:
            return done + len(block)
        try:
            stream.write(block)
            stream.flush()
        except OSError as error:
            raise WeightsError(
                f"'{stream.name}' cannot be written ({error.strerror}) after {done} bytes; make room, or set "
                f"KDCLI_WEIGHTS to another folder, and {wanted.again}"
            ) from error
        done += len(block)
        if progress is not None:
            progress(done, total)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https, but never from an encrypted address to one that is not."""

    def __init__(self, wanted: Entry) -> None:
        self.wanted = wanted

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme != "https"):
            raise WeightsError(
                f"{req.full_url} redirects to {new.scheme}://{new.netloc}, which is not encrypted, and is not "
                f"followed; {self.wanted.by_hand}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refused(wanted: Entry, address: str, error: urllib.error.HTTPError) -> WeightsError:
    said = " ".join(f"{error.code} {error.reason}".split())
    if 300 <= error.code < 400:  # another scheme; or ten in a row, or the same address again
        what = "to something that is no web address, and is not followed" if "not allowed" in said else "without end"
        return WeightsError(f"{address} redirects {what}; {wanted.by_hand}")
    if error.code in _PASSING:
        return WeightsError(
            f"{address} answered {said}, which may pass; {wanted.again} later, or {wanted.by_hand}"
        )
    return WeightsError(f"{address} answered {said}; {wanted.by_hand}")


def _changed(wanted: Entry, what: str) -> WeightsError:
    return WeightsError(f"the server of '{wanted.name}' {what}; {wanted.by_hand}")


def _page(wanted: Entry, address: str) -> WeightsError:
    short = address.partition("?")[0]
    return WeightsError(f"{short} answered with a web page (a login?), not with {wanted.file}; {wanted.by_hand}")


def _unreadable(wanted: Entry, address: str, error: Exception, done: int) -> WeightsError:
    reason = " ".join(str(getattr(error, "reason", None) or error or type(error).__name__).split())
    return WeightsError(
        f"{address.partition('?')[0]} cannot be read ({reason}) after {done} bytes; {wanted.again} to go on, "
        f"or {wanted.by_hand}"
    )


def _cut_short(wanted: Entry, done: int, total: int | None) -> WeightsError:
    of = f" of {total}" if total else ""
    return WeightsError(
        f"the download of '{wanted.name}' stopped at {done}{of} bytes; {wanted.again} to go on"
    )


def room(folder: Path, wanted: int) -> None:
    """Refuse to begin what a disk has no room for.

    Raises:
        WeightsError: fewer bytes are free than are wanted.
    """
    free = wanted
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(folder).free
    if free < wanted:
        raise WeightsError(f"'{folder}' has {free} bytes free and {wanted} are needed; set KDCLI_WEIGHTS to another")
