"""How many bytes an exported file has, and which: of formats whose file is a folder too."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kdcli.files import sha256_of


def bytes_of(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(bytes_of(one) for one in path.iterdir())


def files_of(path: Path) -> list[Path]:
    """Return the files that belong to an exported file, itself first: weights and metadata that lie beside it."""
    beside = [path.with_name(f"{path.name}.json")]
    if path.suffix in (".xml", ".param"):
        beside.insert(0, path.with_suffix(".bin"))
    return [path, *(one for one in beside if one.is_file())]


def sha256_of_all(path: Path) -> str:
    """Return the sha256 of a file; of a folder that of the names and hashes of what lies in it."""
    if path.is_file():
        return sha256_of(path)
    files = sorted(one for one in path.rglob("*") if one.is_file())
    listed = "".join(f"{sha256_of(one)}  {one.relative_to(path).as_posix()}\n" for one in files)
    return hashlib.sha256(listed.encode()).hexdigest()
