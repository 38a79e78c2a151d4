"""Tell what a file of weights is by its content, and say what is wrong with one that is none."""

from __future__ import annotations

import zipfile
from pathlib import Path

from kdcli.errors import WeightsError
from kdcli.files import is_lfs_pointer

_SHOWN = 4
"""How many names of an archive an error lists."""

_LONGEST = 80
"""Letters of each that it shows."""


def sort_of(path: Path) -> str:
    """Return ``safetensors`` or ``pickle``, by the first bytes.

    Raises:
        WeightsError: missing, empty, a Git LFS pointer, an archive of other files, or neither.
    """
    if path.is_dir():
        raise WeightsError(f"'{path}' is a folder, not a file of weights; give the file in it")
    if not path.exists():
        raise WeightsError(f"weights '{path}' do not exist; check the path, or see `kdcli weights list`")
    if path.stat().st_size == 0:
        raise WeightsError(f"'{path}' is empty; get the file again")
    if is_lfs_pointer(path):
        raise WeightsError(f"'{path}' is a Git LFS pointer, not the weights; run `git lfs pull` in its repository")
    with path.open("rb") as stream:
        start = stream.read(16)
    if start[8:9] == b"{":
        return "safetensors"
    if start.startswith(b"PK\x03\x04"):
        _check_archive(path)
        return "pickle"
    if start.startswith(b"\x80"):
        return "pickle"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise WeightsError(f"'{path}' is a web page (a login, a notice?) and not weights; get the file again")
    raise WeightsError(
        f"'{path}' is neither safetensors nor a file of torch.save (it begins with {start[:8].hex(' ')}); "
        "get the file again"
    )


def _check_archive(path: Path) -> None:
    """Refuse zip archives that torch.save did not write: a released archive of files, a TorchScript program."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # damaged, in whatever way: whoever reads it next has more to say about that
        return
    roots = [name.removesuffix("data.pkl") for name in names if f"/{name}".endswith("/data.pkl")]
    if not roots:
        listed = ", ".join(name[:_LONGEST] for name in names[:_SHOWN]) or "nothing"
        raise WeightsError(f"'{path}' is an archive of files ({listed}); unpack it and give the weights in it")
    if f"{roots[0]}constants.pkl" in names:
        raise WeightsError(f"'{path}' is a TorchScript program and is not run; save its state dict where it was made")


def broken(path: Path, error: Exception) -> WeightsError:
    """Return the error for a file whose content makes no sense."""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:120]
    detail = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return WeightsError(f"'{path}' is cut short or damaged ({detail}); get the file again")
